"""One timer that visits every socket once an interval, a few at a time.

A timer of its own for each of 10,000 sockets would cost 1 KiB each, and wake the loop for each.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, TimerHandle
from typing import Protocol

_SLOTS = 64


class Beating(Protocol):
    """Who is visited."""

    slot: int

    def beat(self, now: float) -> None:
        """Take a visit; `now` is of the loop's clock."""
        ...


class Heartbeat:
    """Visits its members in turn."""

    def __init__(self, loop: AbstractEventLoop, interval: float) -> None:
        """Visit each member every `interval` seconds."""
        self._loop = loop
        self._pause = interval / _SLOTS
        self._slots: list[set[Beating]] = [set() for _ in range(_SLOTS)]
        self._at = 0
        self._timer: TimerHandle | None = None
        self._members = 0

    def join(self, member: Beating) -> None:
        """Begin to visit; the first time after a whole interval."""
        member.slot = self._at
        self._slots[self._at].add(member)
        self._members += 1
        if self._timer is None:
            self._timer = self._loop.call_later(self._pause, self._tick)

    def leave(self, member: Beating) -> None:
        """Visit no more."""
        slot = self._slots[member.slot]
        if member in slot:
            slot.discard(member)
            self._members -= 1

    def _tick(self) -> None:
        self._at = (self._at + 1) % _SLOTS
        now = self._loop.time()
        for member in tuple(self._slots[self._at]):
            member.beat(now)
        self._timer = self._loop.call_later(self._pause, self._tick) if self._members else None

    def close(self) -> None:
        """Visit nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
