"""Connections as they come in: uvicorn's HTTP, and a door before the WebSockets.

A handshake costs 0.7 ms of CPU, as much as a dozen moves. So a crowd is let in one by one. And who
was thrown out for flooding mostly comes back at once: they're told to wait as soon as their headers
are read, but not in the same moment, because who waits for an answer can't ask again.
"""

from __future__ import annotations

import asyncio
from asyncio import TimerHandle
from math import ceil
from typing import Any, cast

from gateway.admission import Admission
from gateway.joined import JoinedTransport
from gateway.punctual import PunctualProtocol

_ANSWER_S = 2.0
_MOST_HELD = 5_000
_BODY = (
    b'{"type":"/problems/rate_limited","title":"Rate limited","status":429,'
    b'"detail":"Come back later.","code":"rate_limited"}'
)
_REFUSED = (
    b"HTTP/1.1 429 Too Many Requests\r\nretry-after: %d\r\nconnection: close\r\n"
    b"content-type: application/problem+json\r\ncontent-length: %d\r\n\r\n"
)


class Connection(PunctualProtocol):
    """uvicorn's protocol, writing through a `JoinedTransport`."""

    def __init__(self, admission: Admission, **given: Any) -> None:
        """Ask `admission` about WebSockets."""
        super().__init__(**given)
        self._admission = admission
        self._refusing: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection."""
        joined = cast("asyncio.Transport", JoinedTransport(transport, self.loop))
        super().connection_made(joined)

    def connection_lost(self, exc: Exception | None) -> None:
        """End it."""
        if self._refusing is not None:
            self._refusing.cancel()
            self._refusing = None
            self._admission.counts.held -= 1
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to a WebSocket when its turn comes, or turn it away."""
        wait = self._admission.at_door(self.headers, self.client[0] if self.client else "")
        if wait:
            self._turn_away(ceil(wait))
        elif self._admission.porch.spare(self.loop.time()):
            self.visit()
        else:
            self.transport.pause_reading()
            self._admission.porch.join(self)

    def visit(self) -> None:
        """Do the handshake: it's our turn."""
        if not self.transport.is_closing():
            self.transport.resume_reading()
            # A WebSocket writes whole frames by itself.
            self.transport = cast("JoinedTransport", self.transport).real
            super().handle_websocket_upgrade()
            # It refers to us: only a search for cycles would free us both.
            self.parser = None  # type: ignore[assignment]

    def _turn_away(self, seconds: int) -> None:
        counts = self._admission.counts
        counts.turned_away += 1
        if counts.held >= _MOST_HELD:
            self._refuse(seconds)
            return
        counts.held += 1
        self.transport.pause_reading()
        self._refusing = self.loop.call_later(_ANSWER_S, self._held, seconds)

    def _held(self, seconds: int) -> None:
        self._refusing = None
        self._admission.counts.held -= 1
        self._refuse(seconds)

    def _refuse(self, seconds: int) -> None:
        if not self.transport.is_closing():
            self.transport.write(_REFUSED % (seconds, len(_BODY)) + _BODY)
            self.transport.close()
