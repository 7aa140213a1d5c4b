"""Latencies counted in buckets of a fixed relative error, after Gil Tene's HdrHistogram.

Values are whole microseconds. Below `2 * _HALF` every value has a bucket of its own; above, each
power of two is cut in `_HALF` buckets, so a value read back is off by less than 1/128 (0.8 %)
whatever its size, and merging two histograms is adding their counts.
"""

from __future__ import annotations

from collections.abc import Iterable

_BITS = 7
_HALF = 1 << _BITS
RELATIVE_ERROR = 1 / _HALF
_TOP = 36  # bits: 19 hours in microseconds; what is longer counts as that
_SIZE = (_TOP - _BITS + 1) << _BITS
PERCENTILES = (50.0, 95.0, 99.0, 99.9)


def _highest(bucket: int) -> int:
    shift = (bucket >> _BITS) - 1
    if shift <= 0:
        return bucket
    return ((bucket - (shift << _BITS) + 1) << shift) - 1


class Histogram:
    """Counts of latencies; it costs about 0.4 us to record one."""

    __slots__ = ("_counts", "_total", "count", "highest", "lowest")

    def __init__(self) -> None:
        self._counts = [0] * _SIZE
        self.clear()

    def clear(self) -> None:
        """Forget everything, in place."""
        self._counts[:] = [0] * _SIZE
        self._total = 0.0
        self.count = 0
        self.highest = 0.0
        self.lowest = float("inf")

    def record(self, seconds: float) -> None:
        """Count one latency, in seconds. A negative one counts as 0."""
        micros = int(seconds * 1e6)
        if micros < 0:
            micros = 0
        elif micros >> _TOP:
            micros = (1 << _TOP) - 1
        shift = micros.bit_length() - _BITS - 1
        self._counts[micros if shift <= 0 else (shift << _BITS) + (micros >> shift)] += 1
        self.count += 1
        self._total += seconds
        self.highest = max(self.highest, seconds)
        self.lowest = min(self.lowest, seconds)

    def percentile(self, percent: float) -> float:
        """Return the latency, in seconds, that `percent` of the recorded ones do not exceed.

        It is the top of the bucket (at most 0.8 % too high, never too low), but never more than
        the highest recorded; 0 if nothing was recorded.
        """
        if not self.count:
            return 0.0
        wanted = max(1, -(-self.count * percent // 100))
        seen = 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if seen >= wanted:
                return min((_highest(bucket) + 1) / 1e6, self.highest)
        return self.highest

    @property
    def mean(self) -> float:
        """The exact mean in seconds; 0 if nothing was recorded."""
        return self._total / self.count if self.count else 0.0

    def add(self, other: Histogram) -> None:
        """Count everything that `other` has counted as well."""
        self._counts = [mine + its for mine, its in zip(self._counts, other._counts, strict=True)]
        self._total += other._total
        self.count += other.count
        self.highest = max(self.highest, other.highest)
        self.lowest = min(self.lowest, other.lowest)

    def summary(self) -> dict[str, float]:
        """Return count, mean, percentiles and maximum; times in milliseconds."""
        figures = {"count": float(self.count), "mean": round(self.mean * 1e3, 3)}
        for percent in PERCENTILES:
            figures[f"p{percent:g}"] = round(self.percentile(percent) * 1e3, 3)
        figures["max"] = round(self.highest * 1e3, 3)
        return figures

    def __getstate__(self) -> dict[str, object]:
        """Travel between processes as the buckets that hold something."""
        return {
            "counts": {bucket: count for bucket, count in enumerate(self._counts) if count},
            "rest": (self._total, self.count, self.highest, self.lowest),
        }

    def __setstate__(self, state: dict[str, dict[int, int]]) -> None:
        self._counts = [0] * _SIZE
        for bucket, count in state["counts"].items():
            self._counts[bucket] = count
        self._total, self.count, self.highest, self.lowest = state["rest"]


def merged(parts: Iterable[Histogram]) -> Histogram:
    """Return the sum of `parts`."""
    whole = Histogram()
    for part in parts:
        whole.add(part)
    return whole
