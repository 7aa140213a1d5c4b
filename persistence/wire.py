"""One connection to Postgres with one prepared statement, straight on libpq and the event loop.

psycopg's cursors and their tasks cost several times the statement itself at light load; here a
statement is one write to the socket and its answer one callback.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import pq

from persistence.log import Unavailable

CONNECT_S = 5.0
_LOOK_S = 0.2
_NAME = b"statement"
_SETTINGS = "SET plan_cache_mode = force_generic_plan; SET jit = off; SET synchronous_commit = on"


class Wire:
    """Sends the statement, one at a time. Belongs to the running loop; works on uvloop, too."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Take over an idle `connection`; use `open`."""
        self.answered: Callable[[pq.abc.PGresult], None] = lambda _: None
        """Called with each statement's result, which may be an error's."""
        self.lost: Callable[[Exception], None] = lambda _: None
        """Called at most once, when the connection broke; it's closed already."""
        self._connection = connection  # it warns when it's collected open
        self._libpq = connection.pgconn
        self._result: pq.abc.PGresult | None = None
        self._writing = False
        self._closed = False
        # libpq closes its descriptor by itself when a connection breaks, and the number is given
        # to the next socket while the loop still watches it. A duplicate is ours to close.
        self._socket = os.dup(self._libpq.socket)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._readable)
        self._tick = self._loop.call_later(_LOOK_S, self._look)

    def _look(self) -> None:
        """Look at the socket unasked.

        When a socket is reset (POLLERR), libuv stops watching it: uvloop calls once, and what
        that call leaves unread, such as the end behind the server's parting words, is never told.
        """
        self._tick = self._loop.call_later(_LOOK_S, self._look)
        self._readable()

    @classmethod
    async def open(cls, dsn: str, statement: str, types: str) -> Wire:
        """Connect to `dsn` and prepare `statement` for parameters of `types`.

        Raises:
            Unavailable: If that's not possible within `CONNECT_S`.
        """
        try:
            async with asyncio.timeout(CONNECT_S):
                connection = await psycopg.AsyncConnection[Any].connect(dsn, autocommit=True)
                try:
                    await connection.execute(_SETTINGS)
                    prepare = f"PREPARE {_NAME.decode()} ({types}) AS {statement}"
                    await connection.execute(prepare.encode())
                    return cls(connection)
                except BaseException:
                    await connection.close()
                    raise
        except (psycopg.Error, OSError) as error:
            raise Unavailable(str(error).strip() or "no connection") from error

    def send(self, parameters: Sequence[bytes]) -> None:
        """Run the statement; `answered` or `lost` is called later, never from within.

        Raises:
            psycopg.Error: If the connection is broken; it's closed, and `lost` isn't called.
        """
        binary = pq.Format.BINARY
        try:
            self._libpq.send_query_prepared(_NAME, parameters, [binary] * len(parameters), binary)
            self._flush()
        except psycopg.Error:
            self.close()
            raise

    def _flush(self) -> None:
        """Write what the socket takes; go on when it takes more."""
        more = bool(self._libpq.flush())
        if more and not self._writing:
            self._loop.add_writer(self._socket, self._writable)
        elif self._writing and not more:
            self._loop.remove_writer(self._socket)
        self._writing = more

    def _writable(self) -> None:
        try:
            self._flush()
        except psycopg.Error as error:
            self._break(error)

    def _readable(self) -> None:
        libpq = self._libpq
        try:
            libpq.consume_input()
            if self._writing:
                self._flush()
            while not libpq.is_busy():
                result = libpq.get_result()
                if result is None:
                    break
                self._result = result
            else:
                return  # the rest is still on its way
        except psycopg.Error as error:
            self._break(error)
            return
        result, self._result = self._result, None
        if result is not None:
            self.answered(result)

    def _break(self, error: Exception) -> None:
        self.close()
        self.lost(error)

    def close(self) -> None:
        """Hang up; neither callback is called any more."""
        if self._closed:
            return
        self._closed = True
        self._tick.cancel()
        self._loop.remove_reader(self._socket)
        if self._writing:
            self._loop.remove_writer(self._socket)
        os.close(self._socket)
        self._libpq.finish()
