"""A load of new games over HTTP: an open loop on a fixed schedule, or a closed one."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
from dataclasses import dataclass
from random import Random
from time import perf_counter
from typing import Any

import msgspec

from bench.http import UNANSWERED, Answer, Pool, UnansweredError, request
from bench.schedule import Schedule
from bench.tally import Tally
from bench.target import target
from bench.users import fetch_users

_TICK_SECONDS = 0.001
_DRAIN_SECONDS = 10.0
_SAMPLE = 500
_WISH = b'{"color":"random","clock":{"initial":300,"increment":3}}'


class _Game(msgspec.Struct):
    id: str


class _Problem(msgspec.Struct):
    code: str = "no code"


_decode = msgspec.json.Decoder(_Game).decode


@dataclass(frozen=True)
class CreationJob:
    """What one process of `bench games` does.

    Attributes:
        url: The server.
        rate: Games a second over all processes; None: a closed loop.
        concurrency: How many requests at a time a closed loop has under way, in this process.
        connections: How many an open loop may have; more wait, which counts as latency.
        users: How many guests create.
        keys: Whether each request has an idempotency key.
        verify_all: Read every game back afterwards, not only a sample of 500.
        share, shares: Which process this is, and of how many.
        run: Part of every idempotency key.
    """

    url: str
    rate: float | None
    concurrency: int = 32
    connections: int = 128
    users: int = 200
    keys: bool = False
    verify_all: bool = False
    share: int = 0
    shares: int = 1
    run: str = "run"

    def __call__(self) -> Creations:
        """Make the load (in its own process)."""
        return Creations(self)


class Creations:
    """The load; a `bench.crew.Load`. `ids` are the games that were created, in order."""

    def __init__(self, job: CreationJob) -> None:
        self.tally = Tally()
        self.ids: list[str] = []
        closed = job.rate is None
        self._pool = Pool(target(job.url), job.concurrency if closed else job.connections)
        self._job = job
        self._record = self.tally.histogram("created").record
        self._tokens: list[str] = []
        self._requests: list[bytes] = []
        self._sent = 0
        self._out = 0
        self._until = math.inf
        self._all_answered = asyncio.Event()
        self._pacing: asyncio.Task[None] | None = None

    async def prepare(self) -> None:
        """Fetch the tokens and build the requests."""
        job = self._job
        share = max(1, job.users // job.shares)
        self._tokens = [user.token for user in await fetch_users(self._pool, share)]
        self._requests = [
            request(self._pool.target, "POST", "/games", token, _WISH) for token in self._tokens
        ]

    def begin(self, start: float, until: float) -> None:
        """Start: on the schedule, or with all requests of the closed loop at once."""
        self._until = until
        if self._job.rate is None:
            for _ in range(self._job.concurrency):
                self._create(perf_counter())
        else:
            schedule = Schedule(self._job.rate, start, self._job.share, self._job.shares)
            self._pacing = asyncio.ensure_future(self._keep_pace(schedule))

    def enter(self, phase: str) -> None:
        """Nothing changes between phases."""

    async def drain(self) -> None:
        """Wait for the answers that are out."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while self._out:
                    self._all_answered.clear()
                    await self._all_answered.wait()
        if self._out:
            self.tally.errors["unanswered"] += self._out

    async def finish(self) -> Any:
        """Read the games back; return (how many were read, what was wrong with them)."""
        if len(set(self.ids)) != len(self.ids):
            self.tally.wrong["the same id twice"] += len(self.ids) - len(set(self.ids))
        ids = self.ids
        if not self._job.verify_all and len(ids) > _SAMPLE:
            ids = Random(0).sample(ids, _SAMPLE)
        left = iter(ids)
        await asyncio.gather(*(self._read_back(left) for _ in range(16)))
        self._pool.close()
        return len(ids), dict(self.tally.wrong)

    async def _read_back(self, ids: Any) -> None:
        for game in ids:
            try:
                answer = await self._pool.call("GET", f"/games/{game}")
            except UnansweredError:
                self.tally.wrong["not read back"] += 1
                continue
            if answer.status != 200 or _decode(answer.body).id != game:
                self.tally.wrong[f"read back: {answer.status}"] += 1

    async def _keep_pace(self, schedule: Schedule) -> None:
        while schedule.next_due < self._until:
            for _, due in schedule.due(perf_counter(), self._until):
                self._create(due)
            # A timer of the loop is a millisecond coarse; shorter ones would only spin.
            await asyncio.sleep(max(_TICK_SECONDS, schedule.next_due - perf_counter()))

    def _create(self, due: float) -> None:
        number = self._sent
        self._sent += 1
        self._out += 1
        data = self._requests[number % len(self._requests)]
        if self._job.keys:
            token = self._tokens[number % len(self._tokens)]
            key = f"bench-{self._job.run}-{self._job.share}-{number}"
            data = request(self._pool.target, "POST", "/games", token, _WISH, key)
        self._pool.send(data, functools.partial(self._created, due))

    def _created(self, due: float, answer: Answer) -> None:
        now = perf_counter()
        self._out -= 1
        if not self._out:
            self._all_answered.set()
        self._record(now - due)
        if answer.status == 201:
            self._note(answer.body)
        else:
            self.tally.errors[_problem(answer)] += 1
        if self._job.rate is None and now < self._until:
            self._create(now)

    def _note(self, body: bytes) -> None:
        try:
            game = _decode(body).id
        except msgspec.DecodeError:
            game = ""
        if game:
            self.ids.append(game)
            self.tally.counts["games"] += 1
        else:
            self.tally.wrong["201 without an id"] += 1


def _problem(answer: Answer) -> str:
    if answer.status == UNANSWERED:
        return "connection lost"
    try:
        return f"{answer.status} {msgspec.json.decode(answer.body, type=_Problem).code}"
    except msgspec.DecodeError:
        return f"{answer.status}"
