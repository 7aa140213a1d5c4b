"""Long stretches of the log, read on threads of their own.

A shard that takes partitions over has a busy event loop just then. A read on the loop needs a
dozen of its turns; here it needs one, and psycopg's C code most of its time without Python's lock.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg

from persistence.database import mapped
from persistence.log import Unavailable

_THREADS = 4
_PATIENCE_S = 10.0
_SETTINGS = "-c statement_timeout=10s -c jit=off"


class Stretches:
    """Runs queries on threads, each with a connection of its own. Belongs to one event loop."""

    def __init__(self, dsn: str) -> None:
        """Connect to `dsn` when first needed."""
        self._dsn = dsn
        self._threads = ThreadPoolExecutor(_THREADS, "log-reader")
        self._own = threading.local()
        self._lock = threading.Lock()
        self._open: list[psycopg.Connection[Any]] = []
        self._closed = False

    async def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of one statement.

        Raises:
            Unavailable: If the database doesn't answer in time.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await loop.run_in_executor(self._threads, self._query, sql, values)
        except TimeoutError as error:
            raise Unavailable("no answer in time") from error

    def _query(self, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        try:
            with self._connection().cursor(binary=True) as cursor:
                cursor.execute(sql.encode(), values)
                return cursor.fetchall()
        except (psycopg.Error, OSError) as error:
            self._drop()
            foreign = mapped(error)
            if foreign is error:
                raise
            raise foreign from error

    def _connection(self) -> psycopg.Connection[Any]:
        connection: psycopg.Connection[Any] | None = getattr(self._own, "connection", None)
        if connection is None or connection.closed:
            connection = psycopg.connect(
                self._dsn, autocommit=True, connect_timeout=5, options=_SETTINGS
            )
            self._own.connection = connection
            with self._lock:
                self._open.append(connection)
                late = self._closed
            if late:
                self._drop()
                raise psycopg.OperationalError("the log is closed")
        return connection

    def _drop(self) -> None:
        connection: psycopg.Connection[Any] | None = getattr(self._own, "connection", None)
        self._own.connection = None
        if connection is not None:
            with self._lock:
                if connection in self._open:
                    self._open.remove(connection)
            connection.close()

    def close(self) -> None:
        """Hang up. Whatever still runs ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._closed = True
            left, self._open = self._open, []
        for connection in left:
            connection.close()
