"""A load of moves: many tables over kept sockets, in a closed loop or on a fixed schedule."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

from bench.acks import AckFile
from bench.house import Ended
from bench.http import Pool
from bench.schedule import Schedule
from bench.scripts import Script
from bench.seat import Frame, Seat, connect_all
from bench.table import Table
from bench.tally import Tally
from bench.target import target
from bench.users import User, fetch_users

_TICK_SECONDS = 0.001
_FLUSH_SECONDS = 0.02
_SWEEP_SECONDS = 1.0
_DRAIN_SECONDS = 10.0


@dataclass(frozen=True)
class HallJob:
    """What one process of `bench moves` does.

    Attributes:
        url: The server.
        games: How many at a time, in this process.
        scripts: What is played; over and over, or once each if `once`.
        pace: Moves a second over all processes; None plays as fast as it goes.
        users: How many guests share the seats.
        acks: Where acknowledgements are written; None: nowhere.
        endings: Whether games end as their scripts say (draws, claims); else they are resigned.
        clocks: Whether games that end by the clock are given one and waited for.
        once: Play every script once and be done, instead of going on until the time is up.
        share, shares: Which process this is, and of how many.
        run: Part of every idempotency key, so that a second run meets no game of the first.
    """

    url: str
    games: int
    scripts: tuple[Script, ...]
    pace: float | None = None
    users: int = 200
    acks: Path | None = None
    endings: bool = False
    clocks: bool = False
    once: bool = False
    share: int = 0
    shares: int = 1
    run: str = "run"

    def __call__(self) -> Hall:
        """Make the load (in its own process)."""
        return Hall(self)


class Hall:
    """The load. It's a `bench.crew.Load` and the `bench.table.House` of its tables."""

    def __init__(self, job: HallJob) -> None:
        self.tally = Tally()
        self.pool = Pool(target(job.url), limit=32)
        self.paced = job.pace is not None
        self.clocks = job.clocks
        self.endings = job.endings
        self.halted = True
        self.tables: list[Table] = []
        self.users: list[User] = []
        self.results: list[Ended] = []
        self.on_opened: Callable[[Table], None] | None = None
        self._job = job
        self._mover = self.tally.histogram("mover").record
        self._opponent = self.tally.histogram("opponent").record
        self._since_sent = self.tally.histogram("mover, from sending").record
        self._acks = AckFile(job.acks) if job.acks is not None else None
        self._scripts = list(job.scripts)
        self._drawn = 0
        self._keys = 0
        self._schedule: Schedule | None = None
        self._until = math.inf
        self._all_played = asyncio.Event()
        self._seats: list[Seat] = []
        self._timers: list[asyncio.Task[None]] = []
        if not job.once:
            Random(job.share).shuffle(self._scripts)

    # ---- bench.crew.Load

    async def prepare(self) -> None:
        """Fetch tokens, connect two sockets a table, and make every table's first game."""
        seats, target = 2 * self._job.games, self.pool.target
        self.users = await fetch_users(self.pool, max(2, min(self._job.users, seats)))
        count = len(self.users)
        self._seats = [Seat(target, self.users[n % count], n & 1) for n in range(seats)]
        await connect_all(self._seats)
        self.tables = [
            Table(self, (self._seats[number], self._seats[number + 1]))
            for number in range(0, len(self._seats), 2)
        ]
        making = [task for table in self.tables if (task := table.open()) is not None]
        await asyncio.gather(*making)
        self._timers = [asyncio.ensure_future(each()) for each in (self._sweep, self._flush)]

    def begin(self, start: float, until: float) -> None:
        """Start all tables at once; a paced load makes its k-th move `k / pace` after `start`."""
        self.halted = False
        self._until = until
        if self._job.pace is not None:
            self._schedule = Schedule(self._job.pace, start, self._job.share, self._job.shares)
            self._timers.append(asyncio.ensure_future(self._keep_pace(self._schedule)))
        for table in self.tables:
            table.kick()

    def enter(self, phase: str) -> None:
        """Nothing changes between phases."""

    async def drain(self) -> None:
        """Begin nothing new, wait for what is under way; with `once` wait till all is played."""
        if self._job.once:
            await self._all_played.wait()
        self.halted = True
        until = perf_counter() + _DRAIN_SECONDS
        while perf_counter() < until and not all(table.quiet for table in self.tables):  # noqa: ASYNC110 -- a thousand tables would each have to tell on their hot path
            await asyncio.sleep(0.02)
        if left := sum(not table.quiet for table in self.tables):
            self.tally.errors["unanswered"] += left

    async def finish(self) -> Any:
        """Close the sockets; return how each game of a `once` load ended."""
        for timer in self._timers:
            timer.cancel()
        for seat in self._seats:
            seat.close()
        self.pool.close()
        if self._acks is not None:
            self._acks.close()
        return self.results

    # ---- bench.table.House

    def next_script(self) -> Script | None:
        """Hand out what is played next."""
        if self._job.once:
            return self._scripts.pop() if self._scripts else None
        self._drawn += 1
        return self._scripts[self._drawn % len(self._scripts)]

    def new_key(self) -> str:
        """Return an idempotency key for a new game."""
        self._keys += 1
        return f"bench-{self._job.run}-{self._job.share}-{self._keys}"

    def moved(self, frame: Frame, latency: float, since_sent: float) -> None:
        """Count an acknowledged move: its mover has the event. Latencies in seconds."""
        self._mover(latency)
        if self.paced:
            self._since_sent(since_sent)
        if self._acks is not None:
            self._acks.note(frame.game, frame.seq, frame.ply, frame.uci)

    def seen(self, latency: float) -> None:
        """Count a move that its opponent has."""
        self._opponent(latency)

    def opened(self, table: Table) -> None:
        """Count a game that begins."""
        self.tally.counts["games begun"] += 1
        if self.on_opened is not None:
            self.on_opened(table)

    def over(self, ended: Ended) -> None:
        """Count a game that is over."""
        self.tally.counts["games over"] += 1
        if self._job.once:
            self.results.append(ended)
            if len(self.results) == len(self._job.scripts):
                self._all_played.set()

    # ---- its own tasks

    async def _keep_pace(self, schedule: Schedule) -> None:
        tables, shares = self.tables, self._job.shares
        while schedule.next_due < self._until:
            for number, due in schedule.due(perf_counter(), self._until):
                tables[(number // shares) % len(tables)].turn_due(due)
            # A timer of the loop is a millisecond coarse; shorter ones would only spin.
            await asyncio.sleep(max(_TICK_SECONDS, schedule.next_due - perf_counter()))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = perf_counter()
            for table in self.tables:
                table.sweep(now)

    async def _flush(self) -> None:
        while self._acks is not None:
            await asyncio.sleep(_FLUSH_SECONDS)
            self._acks.flush()
