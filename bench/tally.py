"""What a load generator counts: latencies, events, errors and wrongs. Mergeable, picklable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bench.histogram import Histogram


@dataclass
class Tally:
    """One generator's counts since the last `clear`.

    Attributes:
        latencies: Name -> histogram. The first one of a bench is the one that its live table shows.
        counts: What happened, by name ("moves", "games", "reconnects").
        errors: What the server refused or failed to do, by status or code.
        wrong: What must never happen (an event lost, differing, out of order), by name.
    """

    latencies: dict[str, Histogram] = field(default_factory=dict[str, Histogram])
    counts: Counter[str] = field(default_factory=Counter[str])
    errors: Counter[str] = field(default_factory=Counter[str])
    wrong: Counter[str] = field(default_factory=Counter[str])

    def histogram(self, name: str) -> Histogram:
        """Return the histogram of that name, the same object every time."""
        return self.latencies.setdefault(name, Histogram())

    def clear(self) -> None:
        """Begin anew, in place, so that everybody who holds a histogram goes on with it.

        What is wrong stays: a window of measurement must not hide it.
        """
        for histogram in self.latencies.values():
            histogram.clear()
        self.counts.clear()
        self.errors.clear()

    def add(self, other: Tally) -> None:
        """Count everything that `other` has counted as well."""
        for name, histogram in other.latencies.items():
            self.histogram(name).add(histogram)
        self.counts.update(other.counts)
        self.errors.update(other.errors)
        self.wrong.update(other.wrong)

    def summary(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return {
            "latency_ms": {name: h.summary() for name, h in self.latencies.items()},
            "counts": dict(self.counts),
            "errors": dict(self.errors),
            "wrong": dict(self.wrong),
        }


def total(tallies: Iterable[Tally]) -> Tally:
    """Return the sum of `tallies`."""
    whole = Tally()
    for tally in tallies:
        whole.add(tally)
    return whole
