"""The protocol holds in every seed that CI has time for; `make simulate` has more."""

from __future__ import annotations

from multiprocessing import Pool

import pytest

from simulation.__main__ import CHUNK, run_chunk
from simulation.system import simulate
from simulation.world import World

SEEDS = 10_000


def test_no_seed_breaks_an_invariant() -> None:
    """Nothing told is lost, no history forks, and every client is answered once faults stop."""
    jobs = [(first, CHUNK, "") for first in range(0, SEEDS, CHUNK)]
    with Pool() as pool:
        results = pool.map(run_chunk, jobs, chunksize=1)
    assert sum(count for count, _ in results) == SEEDS
    assert [failure for _, failures in results for failure in failures] == []


@pytest.mark.parametrize("seed", [3, 17, 2046])
def test_a_seed_replays_exactly(seed: int) -> None:
    """Two runs of a seed tell the same story, line by line."""

    def story() -> list[str]:
        world: World = simulate(seed, trace=True)
        return [line for line in world.trace or () if " object at " not in line]

    assert story() == story()
