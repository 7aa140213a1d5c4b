"""The slow lane: what is more than a gateway can do at once is done in turn, a little at a time.

Sockets that want more than their own allowance stand in one, handshakes in another. However many
stand there, they get no more than a fixed share: so many visits a second, less if a visit takes
long, or, while nobody stands there, so many tokens.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, TimerHandle
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Protocol

from gateway.limits import Bucket

_TICK_S = 0.002
_OTHERS = 3
"""Behind a visit others have this many times as long as it took."""


class Waiting(Protocol):
    """Who waits to be visited."""

    def visit(self) -> None:
        """Do a little; join again if there's more."""
        ...


class Lane:
    """One queue of those that wait; 500 visits are made a second at most. Nobody is in it twice."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        rate: float,
        burst: int,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        """Spare `rate` tokens a second, `burst` of them at once.

        `clock` (in seconds) tells how long a visit takes.
        """
        self._loop = loop
        self._clock = clock
        self._spare = Bucket(rate, burst)
        self._waiting: deque[Waiting] = deque()
        self._timer: TimerHandle | None = None
        self._visiting = False

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def spare(self, now: float) -> bool:
        """Take a spare token, or use a visit; False if there's none, or it's others' turn."""
        return self._visiting or (not self._waiting and self._spare.take(now))

    def join(self, one: Waiting) -> None:
        """Visit `one` when it's its turn."""
        self._waiting.append(one)
        if self._timer is None:
            self._timer = self._loop.call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        self._visiting, began = True, self._clock()
        try:
            self._waiting.popleft().visit()
        finally:
            self._visiting = False
            self._timer = None
            if self._waiting:
                wait = max(_TICK_S, _OTHERS * (self._clock() - began))
                self._timer = self._loop.call_later(wait, self._tick)
