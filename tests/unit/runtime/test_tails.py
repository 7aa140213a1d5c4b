"""What of the hot state fits to the log: the rules, one by one."""

import pytest

from persistence.hot_state import Hot, Mark, Warm
from persistence.log import Claim, Record
from runtime.tails import foreign, hot_fits, useful, warm_fits


def claim(epoch: int = 5, checkpoint: int = 10, head: int = 20) -> Claim:
    return Claim(0, epoch, head, checkpoint, 0, 0)


def hot(epoch: int, offset: int, **games: int) -> Hot:
    return Hot(Mark(epoch, offset, len(games)), games, ())


def event(seq: int) -> bytes:
    return b'{"seq":%d}' % seq


def records(first: int, last: int, value=event) -> list:
    return [(100 + seq, Record("g", seq, value(seq))) for seq in range(first, last + 1)]


def warm(seq: int, saved: int, told: int | None = None) -> Warm:
    tail = b"".join(event(n) + b"\n" for n in range(saved + 1, (told or seq) + 1))
    return Warm(4, seq, saved, False, b"", tail)


@pytest.mark.parametrize(
    ("epoch", "offset", "is_useful", "is_foreign"),
    [
        (4, 15, True, False),
        (4, 10, True, False),
        (4, 20, True, False),
        (4, 9, False, False),  # the snapshots are further
        (4, 21, False, True),  # the log never was there
        (5, 15, False, True),  # nobody but us writes under this epoch
        (6, 15, False, True),
    ],
)
def test_only_an_older_owner_of_this_log_is_believed(epoch, offset, is_useful, is_foreign):
    """Epoch and offset of the mark must lie within what was claimed."""
    left = hot(epoch, offset)
    assert useful(left, claim()) is is_useful
    assert foreign(left, claim()) is is_foreign


@pytest.mark.parametrize(("first", "fits"), [(3, True), (6, True), (7, False)])
def test_no_event_may_be_missing_before_the_tail(first, fits):
    """A listed game at seq 5 is followed by 6, or by what it has already."""
    assert hot_fits(hot(4, 15, g=5, other=2), {"g": records(first, 9)}) is fits


@pytest.mark.parametrize(
    ("game", "tail", "fits"),
    [
        (warm(5, 2), [], True),
        (warm(5, 2), records(6, 8), True),
        (warm(5, 2), records(4, 8), True),
        (warm(5, 2), records(1, 8), True),
        (warm(5, 2), records(7, 8), False),
        (warm(5, 2), records(4, 8, lambda seq: b"{}"), False),
        (warm(5, 2), records(1, 2, lambda seq: b"{}"), True),  # the snapshots vouch for these
        (warm(5, 5), records(6, 6), True),
        (warm(5, 2, told=4), [], False),
        (warm(5, 2, told=6), [], False),
    ],
)
def test_a_game_must_be_what_the_log_says(game, tail, fits):
    """Where both tell of an event they tell the same, and none is missing between them."""
    assert warm_fits(game, tail) is fits
