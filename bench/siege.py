"""A load of moves that goes on until it is told that the faults are over."""

from __future__ import annotations

import asyncio
import multiprocessing
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from typing import Any

from bench.hall import Hall, HallJob


def new_event() -> Event:
    """Return an event that reaches the workers of a crew."""
    return multiprocessing.get_context("spawn").Event()


@dataclass(frozen=True)
class SiegeJob:
    """A hall whose last phase is endless until `over` is set."""

    hall: HallJob
    over: Event

    def __call__(self) -> Siege:
        """Make the load (in its own process)."""
        return Siege(self)


class Siege:
    """The load; a `bench.crew.Load`."""

    def __init__(self, job: SiegeJob) -> None:
        self._over = job.over
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
        while not self._over.is_set():  # noqa: ASYNC110 -- another process sets it
            await asyncio.sleep(0.05)
        await self._hall.drain()

    async def finish(self) -> Any:
        """Close everything."""
        return await self._hall.finish()
