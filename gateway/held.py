"""What sockets hold back for a moment, so that it goes out in one write with what follows."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from typing import Protocol


class Holding(Protocol):
    """Who holds something back."""

    def flush(self) -> None:
        """Send it now."""
        ...


class LateWriter:
    """Sends, at the end of this turn of the loop, what sockets held back and nothing followed.

    uvloop writes at once, and a system call costs as much as all of our Python for a move.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        """Send on `loop`."""
        self._loop = loop
        self._sockets: list[Holding] = []

    def add(self, socket: Holding) -> None:
        """Note a socket that holds something back."""
        if not self._sockets:
            self._loop.call_soon(self._flush)
        self._sockets.append(socket)

    def _flush(self) -> None:
        sockets, self._sockets = self._sockets, []
        for socket in sockets:
            socket.flush()
