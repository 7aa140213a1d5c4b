"""When Kafka counts as away."""

from hypothesis import given
from hypothesis import strategies as st

from persistence.kafka.breaker import FAILURES, WINDOW_S, Breaker


def test_a_few_failures_close_together_open_it_once():
    """The one that makes it so says so; those after it don't."""
    breaker = Breaker()
    assert [breaker.failed(float(n)) for n in range(FAILURES + 2)] == [
        *([False] * (FAILURES - 1)),
        True,
        False,
        False,
    ]
    assert breaker.open


def test_one_answer_closes_it():
    """And what had failed before counts no more."""
    breaker = Breaker()
    for n in range(FAILURES):
        breaker.failed(float(n))
    assert breaker.worked()
    assert not breaker.worked()
    assert not any(breaker.failed(10.0 + n) for n in range(FAILURES - 1))


@given(st.lists(st.floats(0, WINDOW_S), min_size=FAILURES, max_size=30))
def test_it_opens_only_for_failures_within_the_window(gaps):
    """However they're spread: open exactly if some `FAILURES` in a row took no longer than that."""
    breaker, times, now = Breaker(), [], 0.0
    for gap in gaps:
        now += gap
        times.append(now)
        breaker.failed(now)
    spans = [b - a for a, b in zip(times, times[FAILURES - 1 :], strict=False)]
    assert breaker.open == any(span <= WINDOW_S for span in spans)
