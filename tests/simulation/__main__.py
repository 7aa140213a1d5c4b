"""`python -m simulation --seeds 1000000`, or `--seed 17 --trace` for one that failed."""

# ruff: noqa: T201  (a command prints)
from __future__ import annotations

import argparse
import gc
import sys
import time
from multiprocessing import Pool, cpu_count

from simulation import mutants
from simulation.system import simulate
from simulation.world import Violation

CHUNK = 200


def run_chunk(job: tuple[int, int, str]) -> tuple[int, list[tuple[int, str]]]:
    """Run the seeds of a chunk; return how many, and the failures."""
    first, count, mutant = job
    failures: list[tuple[int, str]] = []
    gc.disable()  # a seed's cycles are few; they are collected behind the chunk
    with mutants.applied(mutant):
        for seed in range(first, first + count):
            try:
                simulate(seed)
            except Violation as violation:
                failures.append((seed, str(violation)))
    gc.collect()
    return count, failures


def main() -> int:
    """Run what the arguments say; return 1 if an invariant was broken."""
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first one")
    parser.add_argument("--seed", type=int, help="just this one")
    parser.add_argument("--trace", action="store_true", help="tell what happens, line by line")
    parser.add_argument("--mutant", default="", help="break a rule: " + ", ".join(mutants.NAMES))
    parser.add_argument("--processes", type=int, default=cpu_count())
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return one(arguments.seed, arguments.trace, arguments.mutant)
    return many(arguments.first, arguments.seeds, arguments.mutant, arguments.processes)


def one(seed: int, trace: bool, mutant: str) -> int:
    """Run one seed, told in full if asked for."""
    with mutants.applied(mutant):
        try:
            world = simulate(seed, trace)
        except Violation as violation:
            print(*violation.__notes__, sep="\n")
            print(f"seed {seed}: {violation}")
            return 1
    print(*(world.trace or ()), sep="\n")
    print(f"seed {seed}: well after {world.now:.0f} ms")
    return 0


def many(first: int, seeds: int, mutant: str, processes: int) -> int:
    """Run seeds on all cores."""
    started = time.monotonic()
    jobs = [(n, min(CHUNK, first + seeds - n), mutant) for n in range(first, first + seeds, CHUNK)]
    done = failed = 0
    with Pool(processes) as pool:
        for count, failures in pool.imap_unordered(run_chunk, jobs):
            done += count
            failed += len(failures)
            for seed, why in failures:
                print(f"\rseed {seed}: {why}", flush=True)
                print(f"  replay: python -m simulation --seed {seed} --trace"
                      + (f" --mutant {mutant}" if mutant else ""))  # fmt: skip
            rate = done / (time.monotonic() - started)
            end = "\n" if done == seeds else ""
            print(f"\r{done:,} of {seeds:,} seeds, {failed} failed, {rate:.0f}/s",
                  end=end, flush=True)  # fmt: skip
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
