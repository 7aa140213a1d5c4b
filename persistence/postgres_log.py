"""The event log in Postgres: one statement a commit, for all partitions of a shard.

The statement updates each partition's row where epoch and version still hold, which gives dense
offsets, and inserts the records of those that held. The row's lock makes a take-over wait for an
append that is under way; the condition, evaluated again under the lock, fences every later one.

An append of unknown outcome is settled before anything else: raising the row's version makes it
impossible that the old statement still lands, and then the head tells whether it had.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from functools import partial
from time import time
from typing import Any

from msgspec import Struct
from psycopg import pq

from persistence import arrays
from persistence.database import Database
from persistence.log import Claim, Fenced, LogError, Record, Unavailable

_log = logging.getLogger(__name__)
_READ = 1000
_MOST_RECORDS = 20_000
_REMEMBERED_MS = 30 * 24 * 3600 * 1000
_BACKOFF_S = (0.05, 2.0)
STUCK_S = 10.0
"""A statement without an answer for so long counts as of unknown outcome."""

APPEND = b"""
WITH asked AS (
    SELECT * FROM unnest($1::int4[], $2::int8[], $3::int8[], $4::int4[])
        AS a (id, epoch, version, n)
), held AS (
    UPDATE partitions p
    SET head = p.head + a.n, alive_until = greatest(p.alive_until, $11)
    FROM asked a
    WHERE p.id = a.id AND p.epoch = a.epoch AND p.version = a.version
    RETURNING p.id, p.head - a.n AS first
), added AS (
    INSERT INTO events (partition, "offset", game, seq, key, value, at)
    SELECT r.partition, held.first + r.i, r.game, r.seq, r.key, r.value, $11
    FROM unnest($5::int4[], $6::int4[], $7::text[], $8::int4[], $9::bytea[], $10::bytea[])
        AS r (partition, i, game, seq, key, value)
    JOIN held ON held.id = r.partition
)
SELECT id, first FROM held
"""
_TYPES = (
    arrays.INT4_ARRAY,
    arrays.INT8_ARRAY,
    arrays.INT8_ARRAY,
    arrays.INT4_ARRAY,
    arrays.INT4_ARRAY,
    arrays.INT4_ARRAY,
    arrays.TEXT_ARRAY,
    arrays.INT4_ARRAY,
    arrays.BYTEA_ARRAY,
    arrays.BYTEA_ARRAY,
    arrays.INT8,
)
_BINARY = [pq.Format.BINARY] * len(_TYPES)


class _Append(Struct):
    partition: int
    epoch: int
    records: Sequence[Record]
    future: asyncio.Future[int]


class _Owned(Struct):
    """What we know of a row that is ours."""

    epoch: int
    version: int
    head: int


class PostgresLog:
    """`persistence.log.EventLog` on Postgres. Belongs to one event loop."""

    def __init__(self, dsn: str, database: Database) -> None:
        """Append by a connection of its own to `dsn`; do the rest by `database`."""
        self._dsn = dsn
        self._database = database
        self._loop = asyncio.get_running_loop()
        self._connection: pq.abc.PGconn | None = None
        self._queue: list[_Append] = []
        self._flight: list[_Append] = []
        self._busy = False
        self._closed = False
        self._owned: dict[int, _Owned] = {}
        self._watchdog: asyncio.TimerHandle | None = None
        self._settling: asyncio.Task[None] | None = None
        self.statements = 0
        self.records = 0

    # --- appending ---------------------------------------------------------------------------

    def append(self, partition: int, epoch: int, records: Sequence[Record]) -> asyncio.Future[int]:
        """See `EventLog.append`."""
        future: asyncio.Future[int] = self._loop.create_future()
        if self._closed:
            future.set_exception(Unavailable("the log is closed"))
            return future
        self._queue.append(_Append(partition, epoch, records, future))
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._send)
        return future

    def _send(self) -> None:
        """Send what is queued as one statement."""
        self._flight = self._take()
        if not self._flight:
            self._busy = False
            return
        if self._connection is None:
            self._settle()
            return
        try:
            self._connection.send_query_prepared(
                b"append", self._parameters(self._flight), _BINARY, pq.Format.BINARY
            )
            if self._connection.flush():
                self._loop.add_writer(self._connection.socket, self._writable)
        except Exception as error:  # noqa: BLE001  (libpq's own error class, whatever it wraps)
            self._doubt(error)
            return
        self._watchdog = self._loop.call_later(STUCK_S, self._silent)

    def _take(self) -> list[_Append]:
        """Take appends off the queue; those that can't hold any more fail here."""
        taken: list[_Append] = []
        count = 0
        while self._queue and count < _MOST_RECORDS:
            append = self._queue.pop(0)
            mine = self._owned.get(append.partition)
            if mine is None or mine.epoch != append.epoch:
                _fail(append, Fenced(append.partition, append.epoch))
            else:
                taken.append(append)
                count += len(append.records)
        return taken

    def _parameters(self, appends: list[_Append]) -> list[bytes]:
        owned = [self._owned[append.partition] for append in appends]
        records = [record for append in appends for record in append.records]
        self.statements += 1
        self.records += len(records)
        return [
            arrays.int4s([append.partition for append in appends]),
            arrays.int8s([mine.epoch for mine in owned]),
            arrays.int8s([mine.version for mine in owned]),
            arrays.int4s([len(append.records) for append in appends]),
            arrays.int4s([a.partition for a in appends for _ in a.records]),
            arrays.int4s([i for a in appends for i in range(len(a.records))]),
            arrays.texts([record.game for record in records]),
            arrays.int4s([record.seq for record in records]),
            arrays.byteas([record.key for record in records]),
            arrays.byteas([record.value for record in records]),
            arrays.int8(int(time() * 1000)),
        ]

    def _writable(self) -> None:
        connection = self._connection
        if connection is None:
            return
        try:
            if not connection.flush():
                self._loop.remove_writer(connection.socket)
        except Exception as error:  # noqa: BLE001  (as above)
            self._doubt(error)

    def _readable(self) -> None:
        """Take the answer of the statement, once all of it is there."""
        connection = self._connection
        if connection is None:
            return
        try:
            connection.consume_input()
            if connection.is_busy():
                return
            result = connection.get_result()
            if result is None:
                return  # a notice between statements
            while connection.get_result() is not None:
                pass
        except Exception as error:  # noqa: BLE001  (as above)
            self._doubt(error)
            return
        if result.status != pq.ExecStatus.TUPLES_OK:
            self._doubt(RuntimeError(result.error_message.decode(errors="replace")))
            return
        self._appended(result)

    def _appended(self, result: pq.abc.PGresult) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        held = {
            int.from_bytes(result.get_value(i, 0) or b"", "big"): int.from_bytes(
                result.get_value(i, 1) or b"", "big"
            )
            for i in range(result.ntuples)
        }
        flight, self._flight = self._flight, []
        for append in flight:
            first = held.get(append.partition)
            if first is None:
                self._owned.pop(append.partition, None)
                _fail(append, Fenced(append.partition, append.epoch))
            else:
                self._landed(append, first)
        if self._queue:
            self._send()
        else:
            self._busy = False

    def _landed(self, append: _Append, first: int) -> None:
        mine = self._owned.get(append.partition)
        if mine is not None and mine.epoch == append.epoch:
            mine.head = first + len(append.records)
        if not append.future.done():
            append.future.set_result(first)

    # --- doubt -------------------------------------------------------------------------------

    def _silent(self) -> None:
        self._doubt(TimeoutError(f"no answer for {STUCK_S:.0f} s"))

    def _doubt(self, error: Exception) -> None:
        """The outcome of what is in flight is unknown."""
        if not self._closed:
            _log.warning("an append is in doubt: %s", str(error).strip())
            self._settle()

    def _settle(self) -> None:
        self._hang_up()
        if self._settling is None or self._settling.done():
            self._settling = self._loop.create_task(self._settle_until_known())

    async def _settle_until_known(self) -> None:
        pause = _BACKOFF_S[0]
        while not self._closed:
            try:
                self._queue[:0] = await self._outcome(self._flight)
                self._flight = []
                await self._connect()
            except LogError as error:
                _log.info("the log is away: %s", error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _BACKOFF_S[1])
            else:
                self._send()
                return

    async def _outcome(self, appends: Sequence[_Append]) -> list[_Append]:
        """Make the outcome of `appends` known; return those that have to be sent again."""
        again: list[_Append] = []
        for append in appends:
            mine = self._owned.get(append.partition)
            if mine is None or append.future.done():
                continue
            rows = await self._database.query(
                "UPDATE partitions SET version = version + 1 WHERE id = %s AND epoch = %s"
                " RETURNING version, head",
                append.partition,
                append.epoch,
            )
            if not rows:
                self._owned.pop(append.partition, None)
                _fail(append, Fenced(append.partition, append.epoch))
                continue
            first = mine.head
            mine.version, head = rows[0]
            if head == first + len(append.records):
                self._landed(append, first)
            elif head == first:
                again.append(append)
            else:
                raise AssertionError(f"partition {append.partition}: head {head}, was {first}")
        return again

    async def _connect(self) -> None:
        try:
            connection = await self._loop.run_in_executor(None, partial(_open, self._dsn))
        except Exception as error:
            raise Unavailable(str(error).strip()) from error
        if self._closed:
            connection.finish()
            return
        self._connection = connection
        self._loop.add_reader(connection.socket, self._readable)

    def _hang_up(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            if connection.socket >= 0:
                self._loop.remove_reader(connection.socket)
                self._loop.remove_writer(connection.socket)
            connection.finish()

    # --- the rest ----------------------------------------------------------------------------

    async def claim(self, partition: int, epoch: int, owner: str) -> Claim:
        """See `EventLog.claim`."""
        async with self._database.transaction() as cursor:
            await cursor.execute(
                "SELECT epoch, owner, opened_epoch, version, head, checkpoint, alive_until"
                " FROM partitions WHERE id = %s FOR UPDATE",
                (partition,),
            )
            row: Any = await cursor.fetchone()
            if row is None or row[:2] != (epoch, owner) or row[2] >= epoch:
                raise Fenced(partition, epoch)
            version, head, checkpoint, alive_until = row[3:]
            now = max(int(time() * 1000), alive_until)
            await cursor.execute(
                "UPDATE partitions SET opened_epoch = epoch, version = version + 1,"
                " alive_until = %s WHERE id = %s",
                (now, partition),
            )
            if 0 < alive_until < now:
                await cursor.execute(
                    "INSERT INTO outages VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                    (partition, alive_until, now),
                )
            await cursor.execute(
                "SELECT since, until FROM outages WHERE partition = %s AND until > %s ORDER BY 1",
                (partition, now - _REMEMBERED_MS),
            )
            outages = tuple((since, until) for since, until in await cursor.fetchall())
        self._owned[partition] = _Owned(epoch, version + 1, head)
        return Claim(partition, epoch, head, checkpoint, alive_until, now, outages)

    async def read(self, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Record]]:
        """See `EventLog.read`."""
        while start < end:
            rows = await self._database.query(
                'SELECT game, seq, value, key FROM events WHERE partition = %s AND "offset" >= %s'
                ' AND "offset" < %s ORDER BY "offset"',
                partition,
                start,
                min(start + _READ, end),
            )
            if not rows:
                return
            yield [Record(*row) for row in rows]
            start += len(rows)

    async def touch(self, owned: Sequence[tuple[int, int]]) -> Sequence[int]:
        """See `EventLog.touch`."""
        rows = await self._database.query(
            "UPDATE partitions p SET alive_until = greatest(alive_until, %s)"
            " FROM unnest(%s::int4[], %s::int8[]) AS o (id, epoch)"
            " WHERE p.id = o.id AND p.epoch = o.epoch RETURNING p.id",
            int(time() * 1000),
            [partition for partition, _ in owned],
            [epoch for _, epoch in owned],
        )
        held = {partition for (partition,) in rows}
        return [partition for partition, _ in owned if partition not in held]

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
        """Delete records written before `before` (ms since the epoch) that no replay needs."""
        rows = await self._database.query(
            "WITH gone AS (DELETE FROM events e USING partitions p"
            ' WHERE e.partition = p.id AND e."offset" < p.checkpoint AND e.at < %s RETURNING 1)'
            " SELECT count(*) FROM gone",
            before,
        )
        return rows[0][0]

    async def close(self) -> None:
        """See `EventLog.close`."""
        self._closed = True
        if self._settling is not None:
            self._settling.cancel()
            await asyncio.gather(self._settling, return_exceptions=True)
        self._hang_up()
        for append in self._flight + self._queue:
            _fail(append, Unavailable("the log is closed"))
        self._flight, self._queue = [], []


def _fail(append: _Append, error: LogError) -> None:
    if not append.future.done():
        append.future.set_exception(error)


def _open(dsn: str) -> pq.abc.PGconn:
    """Connect and prepare; blocks, so it's called in a thread."""
    connection: Any = pq.PGconn.connect(dsn.encode())
    try:
        if connection.status != pq.ConnStatus.OK:
            raise Unavailable(connection.get_error_message().strip())
        connection.exec_(b"SET plan_cache_mode = force_generic_plan; SET jit = off")
        prepared = connection.prepare(b"append", APPEND, _TYPES)
        if prepared.status != pq.ExecStatus.COMMAND_OK:
            raise Unavailable(prepared.error_message.decode(errors="replace"))
        connection.nonblocking = 1
    except BaseException:
        connection.finish()
        raise
    return connection
