"""Open loops: the schedule stands, whatever the server does."""

import pytest

from bench.histogram import Histogram
from bench.schedule import Schedule


def test_the_schedule_is_fixed_in_advance() -> None:
    """However late and however seldom it is asked, the same pieces are due at the same times."""
    often, seldom = Schedule(100, start=5.0), Schedule(100, start=5.0)
    pieces = [piece for step in range(200) for piece in often.due(5.0 + step / 99, until=6.0)]
    assert pieces == seldom.due(7.0, until=6.0)
    assert [number for number, _ in pieces] == list(range(100))
    assert pieces[0] == (0, 5.0)
    assert pieces[-1] == (99, pytest.approx(5.99))


def test_shares_make_up_the_whole() -> None:
    """The shares of several processes are the one schedule, each piece once."""
    shares = [Schedule(70, 0.0, share, 3).due(10.0, until=1.0) for share in range(3)]
    assert sorted(piece for share in shares for piece in share) == Schedule(70, 0.0).due(10, 1.0)


def test_a_rate_must_be_positive() -> None:
    """There's no schedule without a rate."""
    with pytest.raises(ValueError, match="positive"):
        Schedule(0, 0.0)


def one_server(due_at: "list[float]") -> list[float]:
    """Return when each request is done by a server that takes 1 ms and stands still from 1 to 2 s."""
    free, done = 0.0, []
    for due in due_at:
        begun = max(free, due)
        if 1.0 <= begun < 2.0:
            begun = 2.0
        free = begun + 0.001
        done.append(free)
    return done


def test_a_stall_shows_in_the_percentiles() -> None:
    """A second's stall is in the open loop's p99, while a closed loop's hides it in its maximum."""
    pieces = [due for _, due in Schedule(100, 0.0).due(10.0, until=10.0)]
    opened, closed = Histogram(), Histogram()
    for due, done in zip(pieces, one_server(pieces), strict=True):
        opened.record(done - due)
    asked = 0.0
    while asked < 10.0:
        done = one_server([asked])[0]
        closed.record(done - asked)
        asked = max(done, asked + 0.01)
    assert opened.percentile(95) > 0.4
    assert opened.percentile(99) > 0.8
    assert closed.percentile(99) < 0.01 < 0.9 < closed.highest


def test_a_rest_moves_all_that_is_not_due_yet() -> None:
    """What was handed out stays; what comes next is later by the length of the rest, and none is left out."""
    schedule = Schedule(10, 0.0)
    before = schedule.due(0.25)
    schedule.postpone(5.0)
    assert [number for number, _ in before] == [0, 1, 2]
    assert schedule.due(5.25) == []
    assert schedule.due(5.35) == [(3, pytest.approx(5.3))]
