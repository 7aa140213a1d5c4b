"""When this process hung: whoever waited for it then isn't to blame for the time.

A process that is stopped, or that has no CPU, finds all that came in meanwhile at once, and would
take it as having come just now. What comes a while after it's awake again has come just then.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, TimerHandle
from collections import deque
from collections.abc import Callable
from time import monotonic

_TICK_S = 0.1
_SHORTEST_S = 0.25
"""A busy loop's turn that ends late by less is no pause: it's part of the way to the server."""
_REMEMBERED = 256
_WORKED_OFF_S = 1.0
"""So long after a pause what came in it may be read."""


class Pauses:
    """Notes pauses by a timer that rings late."""

    def __init__(self, loop: AbstractEventLoop, clock: Callable[[], float] = monotonic) -> None:
        """Watch `loop`; `clock` gives seconds and never steps; the loop's own may be stale."""
        self._loop = loop
        self._clock = clock
        self._seen = clock()
        self._pauses: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)
        self._timer: TimerHandle | None = loop.call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        self._look(self._clock())
        self._timer = self._loop.call_later(_TICK_S, self._tick)

    def _look(self, now: float) -> None:
        due = self._seen + _TICK_S
        if now - due > _SHORTEST_S:
            self._pauses.append((due, now))
        self._seen = now

    def awake_since(self, since: float) -> float:
        """Return how many seconds went by from `since` until what is read now came, at the least.

        Pauses count that it may have waited for: the last one, if that's only just over, and
        those that it began right after.
        """
        now = self._clock()
        self._look(now)
        asleep, awake = 0.0, now
        for begin, end in reversed(self._pauses):
            if end <= since or awake - end > _WORKED_OFF_S:
                break
            asleep += end - max(begin, since)
            awake = begin
        return max(0.0, now - since - asleep)

    def close(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
