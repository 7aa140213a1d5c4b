"""How long games stood still around a fault, from when each command was due and answered."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.ledger import Answer


class Window(NamedTuple):
    """What belongs to one fault: from the blow at `at` to `until`, when it was over for long."""

    at: float
    until: float


NEVER = Window(0.0, 0.0)


@dataclass
class Gaps:
    """The gap of each game around one fault or several.

    A game's gap is its slowest command, from when it was due to its event: of all commands that
    were due, or still unanswered, in the window. A game without such a command has none.

    Attributes:
        seconds: Game by game; infinite if a command was never answered.
    """

    seconds: list[float]

    def summary(self) -> dict[str, float | int | None]:
        """Return count and percentiles in milliseconds, exact; None: never answered."""
        ordered = sorted(self.seconds)
        return {
            "games": len(ordered),
            "p50": _ms(percentile(ordered, 50)),
            "p99": _ms(percentile(ordered, 99)),
            "max": _ms(percentile(ordered, 100)),
            "never": sum(math.isinf(each) for each in ordered),
        }


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest of `ordered` that `percent` of them do not exceed; nan if empty."""
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def _ms(seconds: float) -> float | None:
    return round(seconds * 1e3, 1) if math.isfinite(seconds) else None


def gaps_in(
    window: Window, answers: Iterable[Answer], owed: Iterable[tuple[float, str]]
) -> dict[str, float]:
    """Return game -> its gap in seconds, of every game that had a command in the window."""
    longest: dict[str, float] = {}
    for due, at, game, *_ in answers:
        if due < window.until and at > window.at:
            longest[game] = max(longest.get(game, 0.0), at - due)
    for due, game in owed:
        if due < window.until:
            longest[game] = math.inf
    return longest


def silences(
    window: Window, answers: Iterable[Answer], partitions: dict[str, int], hit: Iterable[int]
) -> dict[int, float]:
    """Return for each hit partition how long it took to answer a command due after the blow.

    This is the outage itself, as exactly as the load samples it: seconds from the blow to the
    first event of a command that became due after it. Infinite: none came in the window.
    """
    first = dict.fromkeys(hit, math.inf)
    for due, at, game, *_ in answers:
        partition = partitions[game]
        if partition in first and window.at <= due < window.until:
            first[partition] = min(first[partition], at - window.at)
    return first
