"""What is done in which run, from a seed: pure, so that a run can be done again by its number."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from bench.faults.kinds import Fault


def fault_of(number: int, faults: Sequence[Fault], seed: int) -> Fault:
    """Return what run `number` (from 1) does: all faults in turn, each time in another order."""
    turn, at = divmod(number - 1, len(faults))
    order = list(faults)
    Random(f"{seed} turn {turn}").shuffle(order)
    return order[at]


def chance(number: int, seed: int) -> Random:
    """Return what decides in run `number` whom it hits, when, for how long and how much."""
    return Random(f"{seed} run {number}")
