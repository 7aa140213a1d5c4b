"""The checker finds what it is for: lost, differing and doubled moves."""

from pathlib import Path

import pytest

from bench.acks import Ack, AckFile, Fact, judge, read_acks

MOVES = ["e2e4", "e7e5", "g1f3"]
FACTS = [Fact(1), Fact(2), *(Fact(ply + 3, ply, uci) for ply, uci in enumerate(MOVES)), Fact(6)]
ACKS = [Ack("g", ply + 3, ply, uci) for ply, uci in enumerate(MOVES)]


def test_a_faithful_server_is_acquitted() -> None:
    """If log and game have every acknowledged move, in any order of the file, nothing is wrong."""
    assert judge(ACKS, FACTS, MOVES).good
    assert judge(reversed(ACKS), FACTS, MOVES).good
    assert judge([], FACTS, MOVES).good


def test_more_than_was_acknowledged_is_no_fault() -> None:
    """A move that the log has but nobody heard of may stand: its answer was lost, not the move."""
    assert judge(ACKS[:1], FACTS, MOVES).good


@pytest.mark.parametrize(
    ("facts", "moves", "fault"),
    [
        pytest.param(FACTS[:4], MOVES[:2], "lost", id="tail lost"),
        pytest.param(FACTS[:4], MOVES, "lost", id="lost from the log only"),
        pytest.param(FACTS, MOVES[:2], "lost", id="lost from the game only"),
        pytest.param([*FACTS[:3], *FACTS[4:]], MOVES, "lost", id="a gap in the log"),
        pytest.param([FACTS[0], *FACTS[2:]], MOVES, "lost", id="a gap before the moves"),
        pytest.param([], [], "lost", id="the whole game"),
        pytest.param(
            [*FACTS[:4], Fact(5, 2, "b1c3"), Fact(6)], MOVES, "differing", id="other in the log"
        ),
        pytest.param(FACTS, [*MOVES[:2], "b1c3"], "differing", id="other in the game"),
        pytest.param([*FACTS[:4], Fact(5), Fact(6)], MOVES, "differing", id="no move at all"),
        pytest.param([*FACTS, FACTS[3]], MOVES, "duplicated", id="one seq twice"),
        pytest.param([*FACTS, Fact(7, 2, "g1f3")], MOVES, "duplicated", id="played twice"),
    ],
)
def test_a_fault_is_found(facts: list[Fact], moves: list[str], fault: str) -> None:
    """Whatever is missing, other or double in the log or in the game is named as such."""
    verdict = judge(ACKS, facts, moves)
    assert not verdict.good
    assert getattr(verdict, fault)


def test_a_ply_acknowledged_as_two_events_is_a_double() -> None:
    """The same command acknowledged under two numbers acted twice, whatever the log says."""
    assert judge([*ACKS, Ack("g", 6, 2, "g1f3")], FACTS, MOVES).duplicated


def test_what_was_flushed_is_read_back(tmp_path: Path) -> None:
    """Two writers of one file mix no lines, and a line cut short by a kill is left out."""
    path = tmp_path / "acks"
    one, two = AckFile(path), AckFile(path)
    for writer, game in ((one, "a"), (two, "b"), (one, "a")):
        writer.note(game, 3, 0, "e2e4")
        writer.flush()
    one.note("a", 5, 2, "g1f3")
    assert "g1f3" not in path.read_text()
    one.close()
    two.close()
    with path.open("a") as file:
        file.write("a 6 3 b8")
    assert read_acks(path) == {
        "a": [Ack("a", 3, 0, "e2e4"), Ack("a", 3, 0, "e2e4"), Ack("a", 5, 2, "g1f3")],
        "b": [Ack("b", 3, 0, "e2e4")],
    }


def test_a_broken_file_is_not_passed_over(tmp_path: Path) -> None:
    """A whole line that is no acknowledgement is an error, not silence."""
    path = tmp_path / "acks"
    path.write_text("g 3 zero e2e4\n")
    with pytest.raises(ValueError, match="zero"):
        read_acks(path)
