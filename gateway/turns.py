"""Dear work, a piece a turn: between two pieces the event loop serves everybody else.

A game's whole view costs as much as twenty moves, and a shard answers a hundred who came together
in one frame.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable

Work = Callable[[], None]


class Turns:
    """Does the first piece at once, and each one behind it in a turn of its own, in order."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        """Take the turns of `loop`."""
        self._loop = loop
        self._waiting: deque[Work] = deque()
        self._taken = False
        """Whether this turn's piece is done."""

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def add(self, work: Work) -> None:
        """Do `work`, now or soon."""
        if self._taken:
            self._waiting.append(work)
        else:
            self._taken = True
            self._loop.call_soon(self._next)
            work()

    def _next(self) -> None:
        self._taken = False
        if self._waiting:
            self.add(self._waiting.popleft())
