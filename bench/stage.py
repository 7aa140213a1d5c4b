"""One measured run: workers, phases, a live table, and the parts' CPU at every boundary."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.crew import Crew, Phase
from bench.parts import Parts, Sample, describe, used
from bench.results import system_total
from bench.screen import Screen, console, latencies, parts_table
from bench.server import shards
from bench.tally import Tally
from bench.target import target


@dataclass(frozen=True)
class Work:
    """What a bench counts: `plural` and `each` for people, `done` reads it from a tally."""

    title: str
    plural: str
    each: str
    done: Callable[[Tally], int]


@dataclass
class Outcome:
    """One phase's figures. `parts` is `bench.parts.describe`'s; None on another machine."""

    phase: str
    tally: Tally
    seconds: float
    done: int
    parts: dict[str, Any] | None
    busy_cores: float | None

    def summary(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        system = None if self.parts is None else system_total(self.parts)
        return {
            "phase": self.phase,
            "seconds": round(self.seconds, 3),
            "done": self.done,
            "per_second": round(self.done / self.seconds, 1) if self.seconds else None,
            "system_cpu_us_each": system,
            "busy_cores": self.busy_cores,
            "parts": self.parts,
        } | self.tally.summary()

    def show(self, work: Work) -> None:
        """Print the figures."""
        each = self.done / self.seconds if self.seconds else 0
        title = f"{work.title}: {self.phase}, {self.seconds:.1f} s"
        console.print(latencies(title, self.tally))
        console.print(f"{self.done:,} {work.plural}, {each:,.0f} a second")
        for name, counts in (
            ("counts", self.tally.counts),
            ("errors", self.tally.errors),
            ("WRONG", self.tally.wrong),
        ):
            if counts:
                console.print(f"{name}: " + ", ".join(f"{k} {v:,}" for k, v in counts.items()))
        if self.parts is not None:
            console.print(parts_table(self.parts, work.each))
            console.print(
                f"the system: {system_total(self.parts)} us of CPU a {work.each}; "
                f"the machine: {self.busy_cores} of {os.cpu_count()} cores busy"
            )


class Watchman:
    """Samples the system's parts at the phases' boundaries, if it runs on this machine."""

    def __init__(self, url: str, generators: Sequence[int]) -> None:
        self._samples: dict[str, Sample] = {}
        self._order: list[str] = []
        self._parts: Parts | None = None
        server = target(url)
        if not server.local:
            console.print("CPU and memory by part: skipped, the server is on another machine")
            return
        parts = Parts(shards(server), generators, os.getpid())
        if parts.known:
            self._parts = parts
        else:
            console.print(
                "CPU and memory by part: skipped, /shards names no process of this machine"
            )

    def look(self, boundary: str) -> None:
        """Take a sample; `boundary` names the phase that begins ("" for the end)."""
        if self._parts is not None:
            self._samples[boundary] = self._parts.sample(memory=True)
            self._order.append(boundary)

    def parts(self, phase: str, work: int) -> tuple[dict[str, Any] | None, float | None]:
        """Return (each part's figures, busy cores) of a phase in which `work` was done."""
        if phase not in self._samples:
            return None, None
        before = self._samples[phase]
        after = self._samples[self._order[self._order.index(phase) + 1]]
        seconds = after.at - before.at
        figures = describe(used(before, after), seconds, work)
        return figures, round((after.busy - before.busy) / seconds, 2)


def perform(url: str, crew: Crew, work: Work, phases: Sequence[Phase]) -> list[Outcome]:
    """Run `phases` and return what came of each.

    Raises:
        CrewError: If a load generator failed.
        UnreachableError: If the server does not answer.
    """
    watchman = Watchman(url, crew.pids)
    with Screen(work.title, work.plural, work.done) as screen:
        crew.prepare()
        results = crew.run(phases, screen.update, watchman.look)
    outcomes: list[Outcome] = []
    for result in results:
        done = work.done(result.tally)
        parts, busy = watchman.parts(result.name, done)
        outcomes.append(Outcome(result.name, result.tally, result.seconds, done, parts, busy))
    return outcomes
