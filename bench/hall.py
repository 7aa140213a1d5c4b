"""A load of moves: many tables over kept sockets, in a closed loop or on a fixed schedule."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

from bench.acks import AckFile
from bench.house import Ended
from bench.http import Pool
from bench.ledger import Ledger
from bench.row import Place, Row
from bench.schedule import Schedule
from bench.scripts import Script
from bench.seat import Chair, Frame, Seat, connect_all
from bench.table import Table
from bench.tally import Tally
from bench.target import target
from bench.users import User, fetch_users

_TICK_SECONDS = 0.001
_FLUSH_SECONDS = 0.02
_SWEEP_SECONDS = 1.0
_SWEPT = 200
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
        ledger: Where all that every socket is told is written, with its time; None: nowhere.
        per_socket: How many games share a socket of either colour.
        share, shares: Which process this is, and of how many.
        run: Part of every idempotency key, so that a second run meets no game of the first.
        clock: Initial time and increment of every game, in seconds; None: as `clocks` says.
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
    ledger: Path | None = None
    per_socket: int = 1
    share: int = 0
    shares: int = 1
    run: str = "run"
    clock: tuple[int, int] | None = None

    def __call__(self) -> Hall:
        """Make the load (in its own process)."""
        return Hall(self)


class Hall:
    """The load. It's a `bench.crew.Load` and the `bench.table.House` of its tables."""

    def __init__(self, job: HallJob) -> None:
        self.tally = Tally()
        self.pool = Pool(target(job.url), limit=32)
        self.paced = job.pace is not None
        self.timed = job.clock is not None
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
        self._ledger = Ledger(job.ledger) if job.ledger is not None else None
        self._scripts = [each._replace(clock=job.clock or each.clock) for each in job.scripts]
        self._drawn = 0
        self._keys = 0
        self._schedule: Schedule | None = None
        self._until = math.inf
        self._rested_at = 0.0
        self._going = asyncio.Event()
        self._going.set()
        self._all_played = asyncio.Event()
        self._seats: list[Seat] = []
        self._timers: list[asyncio.Task[None]] = []
        if not job.once:
            Random(job.share).shuffle(self._scripts)

    # ---- bench.crew.Load

    async def prepare(self) -> None:
        """Fetch tokens, connect the sockets, and make every table's first game."""
        job, target = self._job, self.pool.target
        seats = 2 * math.ceil(job.games / job.per_socket)
        self.users = await fetch_users(self.pool, max(2, min(job.users, seats)))
        count = len(self.users)
        self._seats = [Seat(target, self.users[n % count], n & 1) for n in range(seats)]
        await connect_all(self._seats)
        self.tables = [Table(self, chairs) for chairs in self._chairs()]
        await self._open_all()
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
        self._until = min(self._until, perf_counter())
        await self._come_to(lambda table: table.quiet, _DRAIN_SECONDS)
        if left := sum(not table.quiet for table in self.tables):
            self.tally.errors["unanswered"] += left
        if self._ledger is not None:
            for due, game in self.restless:
                self._ledger.owed(due, game)

    async def rest(self, patience: float) -> None:
        """Let no more moves be due, and wait so many seconds at most until nothing is under way.

        What every socket was told is in the ledger then.
        """
        self._going.clear()
        self._rested_at = perf_counter()
        await self._come_to(lambda table: table.rested, patience)
        if self._ledger is not None:
            self._ledger.flush()

    def go_on(self) -> None:
        """Go on after a rest, as if it hadn't been."""
        if self._schedule is not None:
            self._schedule.postpone(perf_counter() - self._rested_at)
        self._going.set()

    @property
    def restless(self) -> list[tuple[float, str]]:
        """Since when which game waits for an answer; game "": it waits to be made."""
        return [(due, table.game) for table in self.tables if (due := table.owed) is not None]

    async def _come_to(self, still: Callable[[Table], bool], patience: float) -> None:
        until = perf_counter() + patience
        while perf_counter() < until and not all(map(still, self.tables)):  # noqa: ASYNC110 -- a thousand tables would each have to tell on their hot path
            await asyncio.sleep(0.02)

    async def finish(self) -> Any:
        """Close the sockets; return how each game of a `once` load ended."""
        for timer in self._timers:
            timer.cancel()
        for seat in self._seats:
            seat.close()
        self.pool.close()
        if self._acks is not None:
            self._acks.close()
        if self._ledger is not None:
            self._ledger.close()
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
        if self._ledger is not None:
            now = perf_counter()
            self._ledger.moved(now - latency, now - since_sent, frame)

    def seen(self, latency: float) -> None:
        """Count a move that its opponent has."""
        self._opponent(latency)

    def opened(self, table: Table) -> None:
        """Count a game that begins."""
        self.tally.counts["games begun"] += 1
        places = [side.seat for side in table.sides if isinstance(side.seat, Place)]
        for place in places:
            place.row.attend(place, table.game)
        if self._ledger is not None and places:
            self._ledger.opened(table.game, (places[0].row.number, places[1].row.number))
        if self.on_opened is not None:
            self.on_opened(table)

    def over(self, ended: Ended) -> None:
        """Count a game that is over."""
        self.tally.counts["games over"] += 1
        if self._ledger is not None and ended.game:
            self._ledger.left(ended.game)
        if self._job.once:
            self.results.append(ended)
            if len(self.results) == len(self._job.scripts):
                self._all_played.set()

    # ---- its own tasks

    def _chairs(self) -> Iterator[tuple[Chair, Chair]]:
        """Yield the two chairs of every table; only rows share a socket or keep a ledger."""
        job, seats = self._job, self._seats
        if job.per_socket == 1 and self._ledger is None:
            yield from zip(seats[::2], seats[1::2], strict=True)
            return
        # Several processes write one ledger: a socket's number is its own in all of them.
        rows = [Row(seat, job.share + job.shares * n, self._ledger) for n, seat in enumerate(seats)]
        for number in range(job.games):
            pair = 2 * (number // job.per_socket)
            yield rows[pair].place(0), rows[pair + 1].place(1)

    async def _open_all(self) -> None:
        """Make every table's first game, 64 at a time: a call's patience starts as it's sent."""
        left = iter(self.tables)

        async def some() -> None:
            for table in left:
                if (task := table.open()) is not None:
                    await task

        await asyncio.gather(*(some() for _ in range(64)))

    async def _keep_pace(self, schedule: Schedule) -> None:
        tables, shares = self.tables, self._job.shares
        while schedule.next_due < self._until:
            await self._going.wait()
            for number, due in schedule.due(perf_counter(), self._until):
                tables[(number // shares) % len(tables)].turn_due(due)
            # A timer of the loop is a millisecond coarse; shorter ones would only spin.
            await asyncio.sleep(max(_TICK_SECONDS, schedule.next_due - perf_counter()))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = perf_counter()
            for number, table in enumerate(self.tables):
                table.sweep(now)
                if number % _SWEPT == _SWEPT - 1:
                    await asyncio.sleep(0)  # ten thousand at once would delay what is measured

    async def _flush(self) -> None:
        files = [file for file in (self._acks, self._ledger) if file is not None]
        while files:
            await asyncio.sleep(_FLUSH_SECONDS)
            for file in files:
                file.flush()
