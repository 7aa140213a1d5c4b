"""Dear work, a little a turn: between two turns the event loop serves everybody else.

A game's whole view costs as much as twenty moves, and a shard answers a hundred who came together
in one frame; a thousand sockets may break in one moment, or speak in it.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from time import perf_counter

Work = Callable[[], None]


class Turns:
    """Does the first piece at once, and those behind it in order, as much a turn as is allowed."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        share: float = 0.0,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        """Take the turns of `loop`: no piece is begun in one after `share` seconds; 0: one piece.

        `clock` (in seconds) tells how long a piece takes.
        """
        self._loop = loop
        self._share = share
        self._clock = clock
        self._waiting: deque[Work] = deque()
        self._taken = False
        """Whether something was done in this turn..."""
        self._left = 0.0
        """...and how many seconds of it are left."""

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def add(self, work: Work) -> None:
        """Do `work`, now or soon."""
        if not self._taken:
            self._begin()
            self._do(work)
        elif self._left > 0 and not self._waiting:
            self._do(work)
        else:
            self._waiting.append(work)

    def later(self, work: Work) -> None:
        """Do `work` in a turn after this one."""
        self._waiting.append(work)
        if not self._taken:
            self._begin()
            self._left = 0.0

    def _begin(self) -> None:
        self._taken, self._left = True, self._share
        self._loop.call_soon(self._next)

    def _do(self, work: Work) -> None:
        left, self._left = self._left, 0.0  # what it adds has to wait
        began = self._clock()
        try:
            work()
        finally:
            self._left = left - (self._clock() - began)

    def _next(self) -> None:
        self._taken = False
        if self._waiting:
            self._begin()
            self._do(self._waiting.popleft())
            while self._left > 0 and self._waiting:
                self._do(self._waiting.popleft())
