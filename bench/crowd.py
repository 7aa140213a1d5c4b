"""Watchers: sockets that follow the games of a hall and time every move to themselves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.hall import Hall, HallJob
from bench.histogram import Histogram
from bench.seat import Frame, Seat, connect_all
from bench.table import Table
from bench.tally import Tally

_PUBLISH_SECONDS = 0.5


class Watcher:
    """One socket that follows one table, game after game. It's a `bench.seat.Sitter`."""

    def __init__(self, seat: Seat, table: Table, tally: Tally) -> None:
        seat.sitter = self
        self._seat = seat
        self._table = table
        self._tally = tally
        self._histogram: Histogram = tally.histogram("watcher")
        self._game = ""
        self._seq = 0

    def follow(self) -> None:
        """Watch the table's game that has just begun."""
        if self._game:
            self._seat.send(f'{{"type":"unsubscribe","game":"{self._game}"}}')
        self._game, self._seq = self._table.game, self._table.sides[0].seq
        self.on_back(0)

    def on_frame(self, number: int, frame: Frame) -> None:  # noqa: ARG002 -- there's one seat
        """See `Sitter`."""
        if frame.game != self._game or not frame.seq or frame.type in ("resumed", "presence"):
            return
        if frame.type == "rejected":
            self._tally.errors[f"watcher: {frame.code}"] += 1
            return
        if frame.seq != self._seq + 1:
            early = frame.seq <= self._seq
            self._tally.wrong["watcher: event twice" if early else "watcher: event missing"] += 1
        self._seq = max(self._seq, frame.seq)
        if frame.type == "MovePlayed" and self._table.game == self._game:
            self._histogram.record(perf_counter() - self._table.due[frame.ply & 1])

    def on_lost(self, number: int) -> None:  # noqa: ARG002
        """See `Sitter`."""
        self._tally.counts["watchers reconnected"] += 1

    def on_back(self, number: int) -> None:  # noqa: ARG002
        """See `Sitter`."""
        if self._game:
            self._seat.send(f'{{"type":"subscribe","game":"{self._game}","after":{self._seq}}}')


@dataclass(frozen=True)
class CrowdJob:
    """A hall of paced games and `sockets` watchers over them.

    `games_file` gets the ids of the games being played, one a line, twice a second.
    """

    hall: HallJob
    sockets: int
    games_file: Path

    def __call__(self) -> Crowd:
        """Make the load (in its own process)."""
        return Crowd(self)


class Crowd:
    """The load; a `bench.crew.Load`."""

    def __init__(self, job: CrowdJob) -> None:
        self._job = job
        self._hall = Hall(job.hall)
        self.tally = self._hall.tally
        self._seats: list[Seat] = []
        self._watchers: dict[int, list[Watcher]] = {}
        self._publishing: asyncio.Task[None] | None = None

    async def prepare(self) -> None:
        """Prepare the hall, connect the watchers and have them watch."""
        await self._hall.prepare()
        users, tables = self._hall.users, self._hall.tables
        target = self._hall.pool.target
        self._seats = [Seat(target, users[n % len(users)], 0) for n in range(self._job.sockets)]
        began = perf_counter()
        await connect_all(self._seats)
        self.tally.wrong.clear()
        rate = len(self._seats) / max(1e-9, perf_counter() - began)
        self.tally.counts["sockets connected a second"] = round(rate)
        for number, seat in enumerate(self._seats):
            table = tables[number % len(tables)]
            self._watchers.setdefault(id(table), []).append(Watcher(seat, table, self.tally))
        self._hall.on_opened = self._opened
        for table in tables:
            self._opened(table)
        self._publishing = asyncio.ensure_future(self._publish())

    def begin(self, start: float, until: float) -> None:
        """Begin the games."""
        self._hall.begin(start, until)

    def enter(self, phase: str) -> None:
        """Nothing changes here between phases."""

    async def drain(self) -> None:
        """Wait for the games' moves."""
        await self._hall.drain()

    async def finish(self) -> Any:
        """Close everything."""
        if self._publishing is not None:
            self._publishing.cancel()
        for seat in self._seats:
            seat.close()
        return await self._hall.finish()

    def _opened(self, table: Table) -> None:
        for watcher in self._watchers.get(id(table), ()):
            watcher.follow()

    async def _publish(self) -> None:
        path = self._job.games_file
        part = path.with_suffix(".part")
        while True:
            part.write_text("\n".join(table.game for table in self._hall.tables if table.game))
            part.replace(path)
            await asyncio.sleep(_PUBLISH_SECONDS)
