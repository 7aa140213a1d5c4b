"""What sockets saw is compared with the log: each sort of fault is found, and called by its name."""

from dataclasses import fields
from pathlib import Path

import pytest

from bench.acks import Ack, Fact
from bench.ledger import Answer, Happening, Ledger, read_ledger
from bench.seat import Frame
from bench.sightings import Findings, Heard, examine

MOVES = ["e2e4", "e7e5", "g1f3"]
LOG = [
    Fact(1, type="GameCreated"),
    Fact(2, type="PlayerJoined"),
    *(Fact(ply + 3, ply, uci, "MovePlayed") for ply, uci in enumerate(MOVES)),
]
ACKS = [Ack("g", ply + 3, ply, uci) for ply, uci in enumerate(MOVES)]
ACCEPTED = [(ply + 3, f"m{ply}") for ply in range(3)]
SEEN = LOG[2:]


def faults(found: Findings) -> list[str]:
    return [each.name for each in fields(found) if getattr(found, each.name)]


def test_what_was_seen_as_it_is_stored_is_no_fault() -> None:
    """Two sockets that saw every event once and in order, and every acknowledgement, are content."""
    assert examine("g", Heard(ACKS, ACCEPTED, {0: SEEN, 1: SEEN}), LOG, MOVES).good


def test_an_event_that_nobody_was_told_of_is_no_fault() -> None:
    """The last event may have come to the log after the sockets were closed."""
    assert examine("g", Heard(ACKS[:2], seen={0: SEEN[:2]}), LOG, MOVES).good


@pytest.mark.parametrize(
    ("seen", "log", "expected"),
    [
        pytest.param([*SEEN, SEEN[1]], LOG, ["repeated"], id="came again"),
        pytest.param([SEEN[0], SEEN[2], SEEN[1]], LOG, ["disordered"], id="two swapped"),
        pytest.param([SEEN[0], SEEN[2]], LOG, ["missed"], id="one between never came"),
        pytest.param(SEEN[:2], LOG, ["missed"], id="the last acknowledged never came"),
        pytest.param(
            [*SEEN[:2], Fact(5, 2, "b1c3", "MovePlayed")], LOG, ["differing"], id="another move"
        ),
        pytest.param(
            [*SEEN[:2], SEEN[2]._replace(type="GameEnded")], LOG, ["differing"], id="another type"
        ),
        pytest.param(
            [*SEEN, Fact(6, type="GameEnded")], LOG, ["lost"], id="seen, and not in the log"
        ),
    ],
)
def test_a_fault_at_a_socket_is_found(
    seen: list[Fact], log: list[Fact], expected: list[str]
) -> None:
    """Whatever comes to one of two sockets otherwise than the log has it is a fault, and just that one."""
    assert faults(examine("g", Heard(ACKS, ACCEPTED, {0: SEEN, 1: seen}), log, MOVES)) == expected


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [((9, "m2"), ["lost"]), ((4, "m2"), ["differing"]), ((5, "resign"), [])],
)
def test_an_acceptance_is_an_acknowledgement(
    accepted: tuple[int, str], expected: list[str]
) -> None:
    """What was accepted as an event must be in the log, as that ply."""
    assert faults(examine("g", Heard(ACKS, [accepted]), LOG, MOVES)) == expected


def test_a_lost_acknowledged_move_is_found() -> None:
    """A move that the log has no more is lost, even if no socket saw it."""
    assert "lost" in faults(examine("g", Heard(ACKS), LOG[:-1], MOVES[:-1]))


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        (SEEN[-1], []),
        (Fact(6, type="GameEnded"), ["lost"]),
        (SEEN[-1]._replace(uci="b1c3"), ["differing"]),
    ],
)
def test_whoever_has_left_may_be_told_again_but_not_otherwise(
    fact: Fact, expected: list[str]
) -> None:
    """What comes after the players left answers their commands: it may repeat, but must be true."""
    assert faults(examine("g", Heard(ACKS, ACCEPTED, {0: SEEN}, [fact]), LOG, MOVES)) == expected


def test_findings_add_up() -> None:
    """The findings of many games are all of theirs."""
    both = Findings(lost=["a"])
    both.add(Findings(lost=["b"], missed=["c"]))
    assert both.sentences() == ["lost: a", "lost: b", "missed: c"]


def test_a_ledger_gives_back_what_was_noted(tmp_path: Path) -> None:
    """Every sort of line is read as it was written, and what is no event is not in it."""
    ledger = Ledger(tmp_path / "ledger")
    ledger.opened("g", (4, 7))
    for kind in ("resumed", "presence", "snapshot"):
        ledger.told(4, Frame(kind, "g", seq=2))
    move = Frame("MovePlayed", "g", seq=3, ply=0, uci="e2e4")
    for socket in (4, 7):
        ledger.told(socket, move)
    ledger.told(4, Frame("accepted", "g", seq=3, id="m0"))
    ledger.told(7, Frame("rejected", "g", code="unavailable"))
    ledger.told(7, Frame("rejected"))
    ledger.told(4, Frame("GameEnded", "g", seq=4))
    ledger.left("g")
    ledger.told(4, Frame("GameEnded", "g", seq=4))
    ledger.moved(1.5, 1.6, move)
    ledger.lost(7)
    ledger.back(7)
    ledger.owed(2.5, "")
    ledger.close()
    found = read_ledger(tmp_path / "ledger")
    assert found.begun["g"][1:] == (4, 7)
    assert found.seen == {
        "g": {
            4: [Fact(3, 0, "e2e4", "MovePlayed"), Fact(4, type="GameEnded")],
            7: [Fact(3, 0, "e2e4", "MovePlayed")],
        }
    }
    assert found.later == {"g": [Fact(4, type="GameEnded")]}
    assert found.accepted == {"g": [(3, "m0")]}
    assert found.acks == {"g": [Ack("g", 3, 0, "e2e4")]}
    assert found.answers == [Answer(1.5, found.answers[0].at, "g", 1.6, 0)]
    assert [each.what for each in found.happenings] == ["unavailable", "-", "lost", "back"]
    assert found.happenings[2] == Happening(found.happenings[2].at, 7, "lost")
    assert found.owed == [(2.5, "-")]


@pytest.mark.parametrize("line", ["x 1 2", "m 1 2 g", "s one 4 g 3 MovePlayed zero e2e4 -"])
def test_a_broken_ledger_is_not_passed_over(tmp_path: Path, line: str) -> None:
    """A whole line that is none of a ledger's is an error, not silence."""
    path = tmp_path / "ledger"
    path.write_text(f"{line}\n")
    with pytest.raises(ValueError, match=line.split(maxsplit=1)[0]):
        read_ledger(path)
