"""When a game wants to be woken: one agenda a partition, one timer of the loop.

A game's deadline moves with every move, nearly always to later. So the agenda keeps one entry a
game that is early enough, and looks again when that comes up: a move costs a comparison. And so
games may share a moment: one that is far away is rounded down by up to a hundredth of the wait,
which costs a second look and saves a hundred bytes a game.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from runtime.agenda import Agenda
from runtime.cell import Cell

_LONGEST_S = 3600.0
_FINEST_MS = 16
_AT_ONCE = 4
"""So many games are woken before the loop gets a turn: a wake costs what a move costs, and a
shard has many partitions."""


def moment(at: int, now: int) -> int:
    """Return when to look at what is due at `at`, in ms: early by a hundredth, or 16 ms late."""
    grain = 1 << max((at - now).bit_length() - 8, 0)
    return at - at % grain if at - now > 0 and grain > _FINEST_MS else at + -at % _FINEST_MS


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
        self._agenda = Agenda()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0

    def __len__(self) -> int:
        return len(self._agenda)

    def arm(self, cell: Cell, at: int | None) -> None:
        """See to it that `cell` is woken at `at`, in ms since the epoch."""
        if at is not None and (cell.timer is None or at < cell.timer):
            cell.timer = self.set(cell.game, at)

    def set(self, game: str, at: int) -> int:
        """Wake a game that may not be in memory; return when it will be looked at."""
        looked = self._agenda.add(moment(at, self._now()), game)
        if self._timer is None or looked < self._timer_at:
            self._schedule()
        return looked

    def load(self, entries: list[tuple[str, int]]) -> None:
        """Add many at once."""
        now = self._now()
        for game, at in entries:
            self._agenda.add(moment(at, now), game)
        self._schedule()

    def close(self) -> None:
        """Wake nobody any more."""
        self._agenda.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        first = self._agenda.first
        if first is not None:
            self._timer_at = first
            delay = (self._timer_at - self._now()) / 1000
            self._timer = self._loop.call_later(min(max(delay, 0.0), _LONGEST_S), self._ring)

    def _ring(self) -> None:
        self._timer = None
        due = self._agenda.take(self._now(), _AT_ONCE)
        self._schedule()
        for game in due:
            self._wake(game)
