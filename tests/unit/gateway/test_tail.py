"""The end of a log by game, on disk."""

import pytest

from gateway.tail import Tail
from persistence.log import Record


@pytest.fixture
def tail():
    tail = Tail()
    yield tail
    tail.close()


def records(first: int, *games: str):
    return [(first + i, Record(game, i + 1, b"%d" % (first + i))) for i, game in enumerate(games)]


def test_a_games_events_are_in_the_order_of_the_log(tail):
    """Also where the log is read on, and its seqs are out of order."""
    tail.add(records(0, "a", "b", "a"))
    tail.add(records(3, "a"))
    assert tail.events("a") == [(1, b"0"), (3, b"2"), (1, b"3")]
    assert tail.events("c") == []
    tail.begin()
    assert tail.events("a") == []


def test_pages_have_every_game_once_in_bounded_pieces(tail):
    """Of the partition that's asked for, or of what the tail was when they began."""
    tail.note_live([(0, f"g{n:04}") for n in range(450)])
    tail.note_live([(1, "other")])
    pages = list(tail.live(0))
    assert max(map(len, pages)) == 200
    assert [game for page in pages for game in page] == [f"g{n:04}" for n in range(450)]
    tail.add(records(0, *(f"t{n:04}" for n in range(300))))
    found: list[str] = []
    for page in tail.in_tail():
        tail.add(records(1000, "zzz"))  # it would never end while games are made
        found += page
    assert found == [f"t{n:04}" for n in range(300)]


def test_nobody_is_asked_about_twice(tail):
    """Until another partition begins."""
    assert tail.unseen(["a", "b", "a"]) == ["a", "b"]
    assert tail.unseen(["b", "c"]) == ["c"]
    tail.begin()
    assert tail.unseen(["b"]) == ["b"]
