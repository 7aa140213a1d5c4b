"""A load of moves that goes on until it's told that the faults are over, and rests when told."""

from __future__ import annotations

import asyncio
import multiprocessing
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from time import perf_counter, sleep
from typing import Any

from bench.hall import Hall, HallJob

_LOOK_SECONDS = 0.05


def new_event() -> Event:
    """Return an event that reaches the workers of a crew."""
    return multiprocessing.get_context("spawn").Event()


class Truce:
    """What makes one siege rest and go on, across processes.

    Args:
        patience: So many seconds a siege may take to come to rest.
    """

    def __init__(self, patience: float) -> None:
        context = multiprocessing.get_context("spawn")
        self.wanted = context.Event()
        self.reached = context.Event()
        self.patience = patience
        self.unanswered: Synchronized[int] = context.Value("i", 0)

    def make(self) -> int:
        """Have the siege rest; return how many of its commands got no answer all the same."""
        self.wanted.set()
        until = perf_counter() + 2 * self.patience
        while not self.reached.is_set() and perf_counter() < until:
            sleep(_LOOK_SECONDS)
        if not self.reached.is_set():
            raise TimeoutError("the load doesn't come to rest")
        return self.unanswered.value

    def end(self) -> None:
        """Have it go on."""
        self.reached.clear()
        self.wanted.clear()


@dataclass(frozen=True)
class SiegeJob:
    """A hall whose last phase is endless until `over` is set; `truce` lets it rest meanwhile."""

    hall: HallJob
    over: Event
    truce: Truce | None = None

    def __call__(self) -> Siege:
        """Make the load (in its own process)."""
        return Siege(self)


class Siege:
    """The load; a `bench.crew.Load`."""

    def __init__(self, job: SiegeJob) -> None:
        self._over = job.over
        self._truce = job.truce
        self._hall = Hall(job.hall)
        self.tally = self._hall.tally

    async def prepare(self) -> None:
        """Make the games."""
        await self._hall.prepare()

    def begin(self, start: float, until: float) -> None:
        """Begin the moves."""
        self._hall.begin(start, until)

    def enter(self, phase: str) -> None:
        """Nothing changes here between phases."""

    async def drain(self) -> None:
        """Wait until the faults are over, then for what is under way."""
        while not self._over.is_set():  # another process sets it
            if self._truce is not None and self._truce.wanted.is_set():
                await self._rest(self._truce)
            await asyncio.sleep(_LOOK_SECONDS)
        await self._hall.drain()

    async def _rest(self, truce: Truce) -> None:
        await self._hall.rest(truce.patience)
        truce.unanswered.value = len(self._hall.restless)
        truce.reached.set()
        while truce.wanted.is_set() and not self._over.is_set():  # noqa: ASYNC110 -- another process ends it
            await asyncio.sleep(_LOOK_SECONDS)
        self._hall.go_on()

    async def finish(self) -> Any:
        """Close everything."""
        return await self._hall.finish()
