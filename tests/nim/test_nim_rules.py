"""The rules of Nim."""

from __future__ import annotations

import nim_game
import pytest
from nim_game import CreateTable, Join, Table, Take, Taken, Won

from actors.behaviour import Context, Rejected, Repeated


def say(state: Table | None, user: str, command: object, seq: int = 1) -> tuple[Table, list]:
    """Decide and evolve; the events get `seq` and on."""
    events = nim_game.decide(state, command, Context("t", 0, user))
    for number, event in enumerate(events, seq):
        event.seq = number
        state = nim_game.evolve(state, event)
    return state, list(events)


def table(pile: int) -> Table:
    """Return a table with two players, ann to move."""
    state, _ = say(None, "ann", CreateTable(pile=pile))
    return say(state, "bob", Join(), 2)[0]


def test_whoever_takes_the_last_stone_wins() -> None:
    """The last take is followed by a Won of the same player, and the game is over."""
    state, _ = say(table(4), "ann", Take(count=1), 3)
    state, events = say(state, "bob", Take(count=3), 4)
    assert [type(event) for event in events] == [Taken, Won]
    assert state.winner == "bob"
    with pytest.raises(Rejected, match="game_over"):
        say(state, "ann", Take(count=1))


@pytest.mark.parametrize("count", [0, -1, 4])
def test_one_to_three_stones_are_taken(count: int) -> None:
    """No other number is."""
    with pytest.raises(Rejected, match="bad_count"):
        say(table(21), "ann", Take(count=count))


def test_nobody_takes_more_than_there_is() -> None:
    """Two stones can't be taken from a pile of one."""
    with pytest.raises(Rejected, match="bad_count"):
        say(table(1), "ann", Take(count=2))


@pytest.mark.parametrize("user", ["bob", "eve"])
def test_only_the_player_whose_turn_it_is_takes(user: str) -> None:
    """The other player and a stranger are refused."""
    with pytest.raises(Rejected, match="not_your_turn"):
        say(table(21), user, Take(count=1))


def test_a_repeated_take_meets_itself() -> None:
    """The same turn again takes nothing and names the first event."""
    state, _ = say(table(21), "ann", Take(count=2, turn=0), 3)
    with pytest.raises(Repeated) as again:
        say(state, "ann", Take(count=2, turn=0))
    assert again.value.seq == 3


def test_a_table_has_two_seats() -> None:
    """A third player finds none."""
    with pytest.raises(Rejected, match="seat_taken"):
        say(table(21), "eve", Join())
