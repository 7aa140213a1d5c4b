"""HTTP connections on which heads of requests come in time, or that are closed."""

from __future__ import annotations

import asyncio
from asyncio import TimerHandle
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_S = 20.0
"""So long may the head of a request take, from its first byte or from the connection's beginning.

An idle connection between requests has uvicorn's own, longer time."""
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class PunctualProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which by itself waits for ever for a first request or the rest of one."""

    _heading = True
    """Whether a head is awaited: the first one, or the rest of one that has begun."""
    _begun = False
    _upgrading = False
    _timer: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection."""
        super().connection_made(transport)
        self._await()

    def connection_lost(self, exc: Exception | None) -> None:
        """End it."""
        self._came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes. Whatever they are, a whole head or an answer to one must follow."""
        super().data_received(data)
        if self._heading or self._idle:  # uvicorn forgets its own timer over any byte
            self._await()
        else:
            self._came()

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._heading = self._begun = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """End a head."""
        before = self.cycle
        super().on_headers_complete()
        self._heading = self._begun = False
        self._upgrading = self.cycle is before

    @property
    def _idle(self) -> bool:
        """Whether nothing is being answered."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return not self._upgrading and (cycle is None or cycle.response_complete)

    def _await(self) -> None:
        if self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(HEAD_S, self._missing)

    def _came(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _missing(self) -> None:
        self._timer = None
        if not self._idle:  # it says the next thing before it has heard the answer to the last
            self._await()
        elif not self.transport.is_closing():
            if self._begun:
                self.transport.write(_TOO_SLOW)
            self.transport.close()
