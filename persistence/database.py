"""One connection to Postgres for everything that isn't the hot path; it comes back by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from persistence.log import Unavailable

_CONNECT_S = 5


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
            Unavailable: If the database can't be reached, or breaks off. What the transaction was
                to do may then be done or not.
        """
        async with self._lock:
            try:
                connection = await self._connected()
                async with connection.transaction(), connection.cursor(binary=True) as cursor:
                    yield cursor
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                await self._drop()
                raise Unavailable(str(error)) from error

    async def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run one statement in a transaction of its own and return its rows, if it has any."""
        async with self.transaction() as cursor:
            await cursor.execute(sql, values)  # pyright: ignore[reportArgumentType]
            return await cursor.fetchall() if cursor.description else []

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = await psycopg.AsyncConnection.connect(
                self._dsn, autocommit=True, connect_timeout=_CONNECT_S
            )
        return self._connection

    async def _drop(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def close(self) -> None:
        """Hang up."""
        async with self._lock:
            await self._drop()
