"""When a game wants to be woken: one heap a partition, one timer of the loop.

A game's deadline moves with every move, nearly always to later. So the heap keeps at most one
entry a game that is early enough, and looks again when that comes up: a move costs a comparison.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

from runtime.cell import Cell

_LONGEST_S = 3600.0


class Deadlines:
    """Calls `wake(game)` at or after the moment that was set for it; perhaps also before."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], int],
        wake: Callable[[str], None],
    ) -> None:
        """Count in the partition's clock `now`, ms since the epoch."""
        self._loop = loop
        self._now = now
        self._wake = wake
        self._heap: list[tuple[int, str]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0

    def __len__(self) -> int:
        return len(self._heap)

    def arm(self, cell: Cell, at: int | None) -> None:
        """See to it that `cell` is woken at `at`, in ms since the epoch."""
        if at is not None and (cell.timer is None or at < cell.timer):
            cell.timer = at
            self.set(cell.game, at)

    def set(self, game: str, at: int) -> None:
        """Wake a game that may not be in memory."""
        heapq.heappush(self._heap, (at, game))
        if self._timer is None or at < self._timer_at:
            self._schedule()

    def load(self, entries: list[tuple[str, int]]) -> None:
        """Add many at once."""
        self._heap.extend((at, game) for game, at in entries)
        heapq.heapify(self._heap)
        self._schedule()

    def close(self) -> None:
        """Wake nobody any more."""
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap:
            self._timer_at = self._heap[0][0]
            delay = (self._timer_at - self._now()) / 1000
            self._timer = self._loop.call_later(min(max(delay, 0.0), _LONGEST_S), self._ring)

    def _ring(self) -> None:
        self._timer = None
        heap, now = self._heap, self._now()
        due: list[str] = []
        while heap and heap[0][0] <= now and len(due) < 1000:
            due.append(heapq.heappop(heap)[1])
        self._schedule()
        for game in due:
            self._wake(game)
