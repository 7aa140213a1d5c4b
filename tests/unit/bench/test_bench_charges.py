"""A clock that runs while its player can't act is found, and one that runs while they think isn't."""

import pytest

from bench.acks import Fact
from bench.charges import charges

SENT = {2: 20.0, 3: 30.0}
CAME = ({4: 11.0}, {5: 21.0, 6: 21.5})  # Black's move to White; White's to Black


def log(*clocks: tuple[int, int], excused: bool = False) -> list[Fact]:
    """Two players' plies 0 to 3 as events 3 to 6, with both clocks after each, in milliseconds."""
    facts = [Fact(1, type="GameCreated"), Fact(2, type="PlayerJoined")]
    for ply, (white, black) in enumerate(clocks):
        if excused and ply == 3:
            facts.append(Fact(len(facts) + 1, type="TimeExcused", mark="t,None,None"))
        number = len(facts) + 1
        facts.append(Fact(number, ply, f"m{ply}", "MovePlayed", f"t,{white},{black}"))
    return facts


def test_thinking_is_charged() -> None:
    """Nine seconds of thought that cost nine are right; the first moves cost nothing."""
    found = charges(log((99_000, 99_000), (99_000, 99_000), (90_000, 99_000)), SENT, CAME)
    assert [(each.ply, each.charged, each.thought) for each in found] == [(2, 9.0, 9.0)]
    assert found[0].excess == 0


@pytest.mark.parametrize("excused", [False, True])
def test_what_comes_late_is_not_the_players(excused: bool) -> None:
    """A clock that ran before the move could be seen is charged too much, by just that."""
    facts = log(
        (99_000, 99_000), (99_000, 99_000), (90_000, 99_000), (90_000, 88_000), excused=excused
    )
    *_, black = charges(facts, SENT, CAME)
    assert (black.ply, black.charged, black.thought, black.excess) == (3, 11.0, 9.0, 2.0)


def test_thinking_through_an_outage_is_not_charged() -> None:
    """Of nine seconds of thought in which nobody answered for four, five may be charged."""
    facts = log((99_000, 99_000), (99_000, 99_000), (90_000, 99_000))
    (white,) = charges(facts, SENT, CAME, [(5.0, 11.5), (16.5, 25.0)])
    assert (white.dead, white.excess) == (4.0, 4.0)


def test_games_without_clocks_are_passed_over() -> None:
    """Without clocks, or without the times of a move, nothing can be said, and nothing is."""
    assert charges([Fact(3, 0, "a"), Fact(4, 1, "b"), Fact(5, 2, "c")], SENT, CAME) == []
    facts = log((99_000, 99_000), (99_000, 99_000), (1_000, 99_000))
    assert charges(facts, {}, CAME) == []
    assert charges(facts, SENT, ({}, {})) == []
