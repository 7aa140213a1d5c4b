"""HTTP connections on which requests come whole and in time, or that are closed."""

from __future__ import annotations

import asyncio
from asyncio import TimerHandle
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

REQUEST_S = 20.0
"""So long may a request take to come, from its first byte or from the connection's beginning.

An idle connection between requests has uvicorn's own, longer time."""
_BODY = (
    b'{"type":"/problems/too_slow","title":"Too slow","status":408,'
    b'"detail":"The request did not come whole in time.","code":"too_slow","instance":""}'
)
_TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n"
    b"content-type: application/problem+json\r\ncontent-length: %d\r\n\r\n%b"
) % (len(_BODY), _BODY)


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
        """Take bytes. Whatever they are, a whole request or an answer to one must follow."""
        super().data_received(data)
        if (
            self._heading or self._idle or self._bodied
        ):  # uvicorn forgets its own timer over any byte
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

    @property
    def _bodied(self) -> bool:
        """Whether the rest of a body is awaited that somebody may be waiting for."""
        return not self._upgrading and self.cycle.more_body and not self.cycle.response_complete

    def _await(self) -> None:
        if self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(REQUEST_S, self._missing)

    def _came(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _missing(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self._idle:
            self._end(answer=self._begun)
        elif self._bodied and not self.pipeline:
            # To the application it's as if the client had hung up.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._end(answer=not self.cycle.response_started)
        else:  # it says the next thing before it has heard the answer to the last
            self._await()

    def _end(self, *, answer: bool) -> None:
        if answer:
            self.transport.write(_TOO_SLOW)
        self.transport.close()
