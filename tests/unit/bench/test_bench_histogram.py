"""The histogram against exact arrays."""

import pickle

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.histogram import RELATIVE_ERROR, Histogram, merged

# Near the edges of buckets, powers of two, as well as anywhere.
EDGES = st.integers(0, 35).flatmap(lambda n: st.integers(max(0, 2**n - 3), 2**n + 3))
MICROS = st.lists(st.one_of(EDGES, st.integers(0, 10**9)), min_size=1, max_size=60)
PERCENT = st.sampled_from([0.1, 1.0, 50.0, 95.0, 99.0, 99.9, 100.0])


def of(micros: list[int]) -> Histogram:
    histogram = Histogram()
    for each in micros:
        histogram.record(each / 1e6 + 1e-7)  # the middle of rounding, not its edge
    return histogram


def exact(micros: list[int], percent: float) -> float:
    ranked = sorted(micros)
    return ranked[max(1, -(-len(ranked) * percent // 100)).__int__() - 1] / 1e6


@settings(max_examples=150, deadline=None)
@given(MICROS, PERCENT)
def test_percentiles_are_within_the_stated_error(micros: list[int], percent: float) -> None:
    """A percentile is never below the exact one and at most the relative error (and 1 us) above."""
    found, true = of(micros).percentile(percent), exact(micros, percent)
    assert true <= found + 1e-9
    assert found <= true * (1 + RELATIVE_ERROR) + 1.2e-6


@settings(max_examples=50, deadline=None)
@given(MICROS, MICROS)
def test_merging_is_recording_everything_in_one(one: list[int], two: list[int]) -> None:
    """Two histograms merged, even through a pickle, say what one of all values says."""
    whole = merged([pickle.loads(pickle.dumps(of(one))), of(two)])
    assert whole.summary() == of(one + two).summary() | {"mean": whole.summary()["mean"]}
    assert abs(whole.mean - of(one + two).mean) < 1e-9


def test_nothing_recorded_is_zero() -> None:
    """An empty histogram has zeros, before anything was recorded and after a clear."""
    histogram = of([5_000, 7_000])
    histogram.clear()
    assert histogram.summary() == Histogram().summary()
    assert histogram.percentile(99) == 0.0


def test_what_is_too_long_counts_as_the_longest() -> None:
    """A latency beyond the top bucket, or below zero, is counted and breaks nothing."""
    histogram = Histogram()
    histogram.record(1e9)
    histogram.record(-0.5)
    assert histogram.count == 2
    assert histogram.percentile(100) > 60_000
    assert histogram.percentile(1) <= 1e-6
