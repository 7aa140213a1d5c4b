"""The event log in Postgres: one statement a commit, for all partitions of a shard.

Assignment and log head are one row a partition, so the row's lock makes a take-over wait for an
append that is under way, and the epoch, looked at again under the lock, fences every later one.
`persistence.appends` holds the hot half; this file holds what happens a few times a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from persistence.append_statement import APPEND
from persistence.appends import Appends, Counters
from persistence.database import Database
from persistence.gathering import Gathering
from persistence.log import Claim, Fenced, LogError, Memory, Placed, Record
from persistence.rows import REMEMBERED_MS, Claimed, Opened, open_row, open_rows, touch
from persistence.stretches import Stretches

_READ = 5000
_TRIM = 5000
SLOW_S = 1.0
"""A statement without an answer for so long makes the log unhealthy."""


class Gap(LogError):  # noqa: N818  (what it is)
    """Records are missing where they were asked for: they were trimmed, or the data is damaged."""

    def __init__(self, partition: int, offset: int) -> None:
        super().__init__(f"partition {partition} has no record at offset {offset}")
        self.partition = partition
        self.offset = offset


class PostgresLog:
    """`persistence.log.EventLog` on Postgres. Belongs to one event loop."""

    def __init__(self, dsn: str, database: Database, statement: str = APPEND) -> None:
        """Append by a connection of its own to `dsn`; do the rest by `database`."""
        self._database = database
        self._claims = Gathering(self._open_all)
        self._loop = asyncio.get_running_loop()
        self._appends = Appends(dsn, self._settle, statement)
        self._stretches = Stretches(dsn)

    @property
    def healthy(self) -> bool:
        """Whether an append may be expected to be answered soon."""
        waiting = self._appends.waiting_since
        slow = waiting is not None and self._loop.time() - waiting > SLOW_S
        return self._appends.doubt_since is None and not slow

    @property
    def doubt_since(self) -> float | None:
        """Loop time since when the connection is lost or an append in doubt; None: all is well."""
        return self._appends.doubt_since

    @property
    def counters(self) -> Counters:
        """What was appended so far, for metrics."""
        return self._appends.counters

    def status(self) -> Mapping[str, object]:
        """See `EventLog.status`."""
        return {"kind": "postgres", "healthy": self.healthy}

    def attach(self, partition: int, epoch: int, memory: Memory) -> None:
        """See `EventLog.attach`. There's no other place to go on in."""

    def release(self, partition: int, epoch: int) -> None:
        """See `EventLog.release`."""

    def append(self, partition: int, epoch: int, records: Sequence[Record]) -> asyncio.Future[int]:
        """See `EventLog.append`.

        Raises:
            ValueError: If there is nothing to append, or Postgres can't hold a record's id or seq.
        """
        return self._appends.append(partition, epoch, records)

    async def _settle(self, partition: int, epoch: int) -> tuple[int, int] | None:
        rows = await self._database.query(
            "UPDATE partitions SET version = version + 1 WHERE id = %s AND epoch = %s"
            " RETURNING version, head",
            partition,
            epoch,
        )
        return (rows[0][0], rows[0][1]) if rows else None

    async def claim(
        self,
        partition: int,
        epoch: int,
        owner: str,
        known: int = 0,  # noqa: ARG002  (nothing is read here)
    ) -> Claim:
        """See `EventLog.claim`. After `Unavailable`, ask for a new epoch: it may have happened."""
        opened = await self._open((partition, epoch, owner))
        row = opened.row
        self._appends.own(partition, epoch, row.version, row.head)
        return Claim(
            partition,
            epoch,
            row.head,
            row.checkpoint,
            opened.alive_until,
            opened.at,
            opened.outages,
        )

    async def _open(self, claimed: Claimed) -> Opened:
        found = await self._claims.ask([claimed])
        if claimed not in found:
            async with self._database.transaction() as cursor:
                return await open_row(cursor, *claimed)
        opened = found.pop(claimed)  # an epoch is opened once: who asks for it, too, asks alone
        if opened is None:
            raise Fenced(*claimed[:2])
        return opened

    async def _open_all(self, asked: Sequence[Claimed]) -> dict[Claimed, Opened | None]:
        async with self._database.transaction() as cursor:
            return await open_rows(cursor, asked)

    async def read(self, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Placed]]:
        """See `EventLog.read`. Ends at the log's head.

        Raises:
            Gap: If a record below the head isn't there.
        """
        while start < end:
            rows = await self._stretches.query(
                'SELECT game, seq, value, key, "offset" FROM events WHERE partition = %s'
                ' AND "offset" >= %s AND "offset" < %s ORDER BY "offset" LIMIT %s',
                partition,
                start,
                end,
                _READ,
            )
            if rows and rows[-1][4] == start + len(rows) - 1:
                yield [(row[4], Record(*row[:4])) for row in rows]
                start += len(rows)
                continue
            if not rows and start >= await self._head(partition):
                return
            present = {row[4] for row in rows}
            raise Gap(partition, next(o for o in range(start, end) if o not in present))

    async def _head(self, partition: int) -> int:
        rows = await self._database.query("SELECT head FROM partitions WHERE id = %s", partition)
        return rows[0][0] if rows else 0

    async def touch(self, owned: Sequence[tuple[int, int]]) -> Sequence[int]:
        """See `EventLog.touch`."""
        return await touch(self._database, owned)

    async def checkpoint(self, partition: int, epoch: int, offset: int) -> None:
        """See `EventLog.checkpoint`."""
        await self._database.query(
            "UPDATE partitions SET checkpoint = %s"
            " WHERE id = %s AND epoch = %s AND checkpoint < %s AND head >= %s",
            offset,
            partition,
            epoch,
            offset,
            offset,
        )

    async def trim(self, before: int) -> int:
        """Delete records written before `before` (ms since the epoch) that no replay needs.

        Returns how many. It goes in steps, from the oldest, so that it never holds anybody up.
        Outages go when no claim asks for them any more.
        """
        trimmed = 0
        await self._database.query(
            "DELETE FROM outages"
            " WHERE until < (extract(epoch FROM clock_timestamp()) * 1000)::int8 - %s",
            REMEMBERED_MS,
        )
        partitions = await self._database.query("SELECT id, checkpoint FROM partitions")
        for partition, checkpoint in partitions:
            rows: list[tuple[Any, ...]] = [(-1, _TRIM)]
            while rows[0][1] == _TRIM:
                rows = await self._database.query(
                    'WITH old AS (SELECT "offset", at FROM events WHERE partition = %s'
                    ' AND "offset" > %s AND "offset" < %s ORDER BY "offset" LIMIT %s),'
                    " gone AS (DELETE FROM events e USING old WHERE e.partition = %s"
                    ' AND e."offset" = old."offset" AND old.at < %s RETURNING e."offset")'
                    ' SELECT max("offset"), count(*) FROM gone',
                    partition,
                    rows[0][0],
                    checkpoint,
                    _TRIM,
                    partition,
                    before,
                )
                trimmed += rows[0][1]
        return trimmed

    async def close(self) -> None:
        """See `EventLog.close`. The database is closed by whoever opened it."""
        await self._appends.close()
        self._stretches.close()
