"""Reads what each tier of a running system has of some games; changes nothing.

Whatever is away is told by its name, `Away`, and the others can still be read.
"""

from __future__ import annotations

import asyncio
import http.client
import threading
import time
from collections.abc import AsyncIterator, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import psycopg

from gateway.installed import Running
from persistence.database import Database
from persistence.hot_state import Hot, Warm
from persistence.kafka.stores import KafkaReader
from persistence.log import LogError, Placed, Record
from persistence.redis_hot_state import RedisHotState

_ASKERS = 4
_TIMEOUT_S = 10
_TRIES = 5
_READ = 5000
_WAITING = (
    "SELECT o.game, o.seq, o.value FROM outbox o"
    " JOIN partitions p ON p.id = o.partition AND p.round = o.round AND p.mode = 'outbox'"
    " WHERE o.game = ANY(%s) ORDER BY o.place"
)
_GAMES_WAITING = (
    "SELECT DISTINCT game FROM outbox WHERE partition = %s AND game > %s"
    " AND round = (SELECT round FROM partitions WHERE id = %s AND mode = 'outbox')"
    " ORDER BY game LIMIT 200"
)
"""What is left of a round that is over waits for nobody."""


class Away(Exception):  # noqa: N818  (what it is)
    """A tier can't be read.

    Attributes:
        tier: "Postgres", "Kafka", "Redis" or "the gateways".
    """

    def __init__(self, tier: str, why: str) -> None:
        super().__init__(f"{tier} can't be read: {why.strip() or 'no answer in time'}")
        self.tier = tier


class Stored(NamedTuple):
    """A game's row in the snapshot store."""

    seq: int
    state: bytes
    history: bytes


class Answer(NamedTuple):
    """What `GET /games/{id}` answered."""

    status: int
    body: bytes


@contextmanager
def _named(tier: str) -> Generator[None]:
    try:
        yield
    except (LogError, psycopg.Error, OSError) as error:
        raise Away(tier, str(error)) from error


class Tiers:
    """All tiers of one system. Belongs to one event loop; `close` it."""

    def __init__(self, running: Running) -> None:
        """Read where `running` says; connect when first needed."""
        self.kafka = running.kafka
        self._database = Database(running.dsn)
        self._redis = RedisHotState(running.redis) if running.redis else None
        self._reader: KafkaReader | None = None
        self._gateways = _Gateways(running.url)

    @property
    def has_hot_state(self) -> bool:
        """Whether there's a Redis."""
        return self._redis is not None

    # --- Postgres --------------------------------------------------------------------------------

    async def stored(self, games: Sequence[str]) -> dict[str, Stored]:
        """Return those of `games` that the snapshot store has."""
        with _named("Postgres"):
            rows = await self._database.query(
                "SELECT id, seq, state, history FROM games WHERE id = ANY(%s)", list(games)
            )
        return {row[0]: Stored(*row[1:]) for row in rows}

    async def waiting(self, games: Sequence[str]) -> dict[str, list[tuple[int, bytes]]]:
        """Return what the outbox has of `games`, in its order."""
        with _named("Postgres"):
            rows = await self._database.query(_WAITING, list(games))
        found: dict[str, list[tuple[int, bytes]]] = {}
        for game, seq, value in rows:
            found.setdefault(game, []).append((seq, value))
        return found

    async def in_outbox(self, partition: int) -> AsyncIterator[list[str]]:
        """Yield the games of which events wait in the outbox, a page at a time."""
        last = ""
        while True:
            with _named("Postgres"):
                rows = await self._database.query(_GAMES_WAITING, partition, last, partition)
            if not rows:
                return
            yield [game for (game,) in rows]
            last = rows[-1][0]

    async def partitions(self) -> int:
        """Return how many partitions the log has."""
        with _named("Postgres"):
            rows = await self._database.query("SELECT partitions FROM installation")
        return rows[0][0] if rows else 1

    async def checkpoint(self, partition: int) -> int:
        """Return the offset below which everything is in snapshots."""
        with _named("Postgres"):
            rows = await self._database.query(
                "SELECT checkpoint FROM partitions WHERE id = %s", partition
            )
        return rows[0][0] if rows else 0

    # --- the log ---------------------------------------------------------------------------------

    async def logged(self, partition: int, start: int) -> AsyncIterator[Sequence[Placed]]:
        """Yield the log's records from `start` on, without the outbox, to the end it has now."""
        if self.kafka is None:
            async for rows in self._in_postgres(partition, start):
                yield rows
            return
        with _named("Kafka"):
            async for batch in (await self._brokers()).read(partition, start):
                yield batch

    async def first(self, partition: int) -> int:
        """Return where the log begins."""
        if self.kafka is None:
            return 0
        with _named("Kafka"):
            return await (await self._brokers()).first(partition)

    async def _in_postgres(self, partition: int, start: int) -> AsyncIterator[Sequence[Placed]]:
        while True:
            with _named("Postgres"):
                rows = await self._database.query(
                    'SELECT "offset", game, seq, value, key FROM events WHERE partition = %s'
                    ' AND "offset" >= %s ORDER BY "offset" LIMIT %s',
                    partition,
                    start,
                    _READ,
                )
            if not rows:
                return
            yield [(row[0], Record(*row[1:])) for row in rows]
            start = rows[-1][0] + 1

    async def _brokers(self) -> KafkaReader:
        assert self.kafka is not None
        if self._reader is None:
            self._reader = await KafkaReader.connect(self.kafka)
        return self._reader

    # --- Redis, and what players see -------------------------------------------------------------

    async def hot(self, games: Sequence[str]) -> dict[str, Warm]:
        """Return those of `games` that the hot state has."""
        if self._redis is None:
            return {}
        with _named("Redis"):
            return await self._redis.load(games)

    async def listed(self, partition: int) -> Hot | None:
        """Return what a take-over would find in the hot state; None if it isn't complete."""
        if self._redis is None:
            return None
        with _named("Redis"):
            return await self._redis.read(partition)

    async def shown(self, games: Sequence[str]) -> dict[str, Answer]:
        """Ask the gateways for each of `games`."""
        loop = asyncio.get_running_loop()
        with _named("the gateways"):
            answers = await asyncio.gather(
                *(loop.run_in_executor(self._gateways.pool, self._gateways.ask, g) for g in games)
            )
        return dict(zip(games, answers, strict=True))

    async def close(self) -> None:
        """Hang up."""
        self._gateways.close()
        if self._reader is not None:
            await self._reader.close()
        if self._redis is not None:
            await self._redis.close()
        await self._database.close()


class _Gateways:
    """Asks on threads, each of which keeps its connection."""

    def __init__(self, url: str) -> None:
        self.pool = ThreadPoolExecutor(_ASKERS, "asker")
        self._where = urlsplit(url)
        self._own = threading.local()
        self._open: set[http.client.HTTPConnection] = set()

    def close(self) -> None:
        """Hang up, after what is being asked."""
        self.pool.shutdown(cancel_futures=True)
        for connection in self._open:
            connection.close()

    def ask(self, game: str) -> Answer:
        """Return the answer; who is asked to wait does so.

        Raises:
            OSError: If nobody answers.
        """
        path = f"/games/{quote(game, safe='')}"
        for _ in range(_TRIES - 1):
            try:
                answer, pause = self._get(path)
            except ConnectionError:  # an idle connection may have been closed meanwhile
                continue
            if answer.status != HTTPStatus.TOO_MANY_REQUESTS:
                return answer
            time.sleep(pause)
        return self._get(path)[0]

    def _get(self, path: str) -> tuple[Answer, float]:
        connection: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is None:
            kind = (
                http.client.HTTPSConnection
                if self._where.scheme == "https"
                else http.client.HTTPConnection
            )
            host, port = self._where.hostname or "", self._where.port
            connection = self._own.connection = kind(host, port, timeout=_TIMEOUT_S)
            self._open.add(connection)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._own.connection = None
            self._open.discard(connection)
            connection.close()
            if isinstance(error, TimeoutError):
                raise
            raise ConnectionError(str(error) or repr(error)) from error
        return Answer(response.status, body), float(response.headers.get("Retry-After") or 1)
