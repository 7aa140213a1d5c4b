"""When the work of an open loop is due: fixed in advance, whatever the server does.

A closed loop stops asking while the server is stuck, so its percentiles omit just the bad
moments ("coordinated omission", Gil Tene). Here the k-th piece of work is due at
`start + k / rate`; latency counts from that moment, also if it could only be sent later.
"""

from __future__ import annotations

import math


class Schedule:
    """Hands out the due times of one of several equal shares of an evenly spaced schedule.

    Args:
        rate: Pieces of work a second, over all shares together.
        start: When the first piece is due, in seconds of the caller's clock.
        share: Which share this is, from 0.
        shares: How many there are; share s has the pieces s, s + shares, s + 2 shares ...
    """

    def __init__(self, rate: float, start: float, share: int = 0, shares: int = 1) -> None:
        if rate <= 0:
            raise ValueError("the rate must be positive")
        self._rate = rate
        self._start = start
        self._next = share
        self._shares = shares

    @property
    def next_due(self) -> float:
        """When the next piece is due that was not handed out yet."""
        return self._start + self._next / self._rate

    def postpone(self, seconds: float) -> None:
        """Move all that wasn't handed out yet."""
        self._start += seconds

    def due(self, now: float, until: float = math.inf) -> list[tuple[int, float]]:
        """Hand out (number, due time) of every piece due by `now` and before `until`, in order."""
        pieces: list[tuple[int, float]] = []
        while (at := self.next_due) <= now and at < until:
            pieces.append((self._next, at))
            self._next += self._shares
        return pieces
