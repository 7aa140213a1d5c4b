"""One connection to Postgres for everything that isn't the hot path; it comes back by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from persistence.encoded import Encoded, EncodedDumper
from persistence.log import LogError, Unavailable

TRANSACTION_S = 12.0
"""The most that a transaction may take, waiting for its turn included."""
# The server's own limits are what frees a row that was locked by a machine that is gone.
_SETTINGS = (
    "SET statement_timeout = '10s'; SET idle_in_transaction_session_timeout = '10s'; SET jit = off"
)


class Unstorable(LogError):  # noqa: N818  (what it is)
    """Postgres refuses what it was given (text with a NUL, a number out of range); don't repeat."""


class Database:
    """Runs one transaction at a time. Foreign errors become `Unavailable` here and only here."""

    def __init__(self, dsn: str) -> None:
        """Connect to `dsn` when first needed."""
        self._dsn = dsn
        self._lock = asyncio.Lock()
        self._connection: psycopg.AsyncConnection[Any] | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[psycopg.AsyncCursor[Any]]:
        """Give a cursor whose work is committed at the end, or rolled back on an exception.

        Raises:
            Unavailable: If the database can't be reached, breaks off, or isn't done within
                `TRANSACTION_S`. What the transaction was to do may then be done or not.
            Unstorable: If a value can't be stored; nothing happened.
        """
        try:
            async with (
                asyncio.timeout(TRANSACTION_S),
                self._lock,
                self._own() as connection,
                connection.transaction(),
                connection.cursor(binary=True) as cursor,
            ):
                yield cursor
        except (psycopg.Error, OSError) as error:
            foreign = mapped(error)
            if foreign is error:
                raise
            raise foreign from error

    async def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run one statement in a transaction of its own and return its rows, if it has any."""
        try:
            async with (
                asyncio.timeout(TRANSACTION_S),
                self._lock,
                self._own() as connection,
                connection.cursor(binary=True) as cursor,
            ):
                await cursor.execute(sql.encode(), values)
                return await cursor.fetchall() if cursor.description else []
        except (psycopg.Error, OSError) as error:
            foreign = mapped(error)
            if foreign is error:
                raise
            raise foreign from error

    @asynccontextmanager
    async def _own(self) -> AsyncGenerator[psycopg.AsyncConnection[Any]]:
        """Give a live connection; one that isn't left idle is closed."""
        connection = self._connection
        if connection is None or not _lives(connection):
            await self._drop()
            connection = await psycopg.AsyncConnection[Any].connect(self._dsn, autocommit=True)
            connection.adapters.register_dumper(Encoded, EncodedDumper)
            self._connection = connection
            try:
                await connection.execute(_SETTINGS)
            except BaseException:
                await self._drop()
                raise
        try:
            yield connection
        finally:
            if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                await self._drop()

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def close(self) -> None:
        """Hang up, after the transaction that runs."""
        async with self._lock:
            await self._drop()


def _lives(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Whether the idle connection still stands, as far as its socket knows."""
    try:
        # The first call may find the server's parting words, the second its silence.
        connection.pgconn.consume_input()
        connection.pgconn.consume_input()
    except psycopg.OperationalError:
        return False
    return not connection.closed


def mapped(error: Exception) -> Exception:
    """Return what an error of psycopg is to us; those that only a mistake of ours makes stay.

    Whatever else a server answers has to do with its own state (it's full, or became read-only in
    a fail-over), so it's worth another try.
    """
    if isinstance(error, psycopg.DataError):
        return Unstorable(str(error).strip())
    if isinstance(error, (psycopg.ProgrammingError, psycopg.IntegrityError)):
        return error
    return Unavailable(str(error).strip() or "no answer in time")
