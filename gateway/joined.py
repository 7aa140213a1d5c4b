"""HTTP responses in one system call: uvicorn writes a head and a body, uvloop sends each at once.

A response's head waits for what follows it, so that the client, too, wakes up once.
"""

from __future__ import annotations

import asyncio
from typing import Any

_HEAD = b"HTTP/1.1 "
_CONTINUE = b"HTTP/1.1 100"


class JoinedTransport:
    """A transport that holds a response's head back until the next write, or the turn's end."""

    __slots__ = ("_head", "_loop", "real")

    def __init__(self, real: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        """Write to `real`."""
        self.real = real
        self._loop = loop
        self._head = b""

    def write(self, data: bytes) -> None:
        """Send, together with a head that waits."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(_HEAD) and not data.startswith(_CONTINUE):
            self._head = data
            self._loop.call_soon(self.flush)
            return
        self.real.write(data)

    def flush(self) -> None:
        """Send a head that waits."""
        if self._head:
            data, self._head = self._head, b""
            if not self.real.is_closing():
                self.real.write(data)

    def close(self) -> None:
        """Send a head that waits, and hang up."""
        self.flush()
        self.real.close()

    def is_closing(self) -> bool:
        """Return whether it's hung up."""
        return self.real.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)
