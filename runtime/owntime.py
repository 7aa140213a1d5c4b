"""A game's own time: deadlines that its owner meets, and outages that nobody is charged for."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from actors.behaviour import Context, Deadline, Rejected, Repeated, Resume
from persistence.log import LogError
from runtime.cell import Cell
from runtime.deadlines import Deadlines
from runtime.residents import Found

if TYPE_CHECKING:
    from runtime.partition import Partition

_log = logging.getLogger(__name__)
_LONG_MS = 3_000
_REMEMBERED = 1024
"""So many outages are remembered: a game that slept through more is excused the newest."""
_PAUSE_MS = 1000
"""A deadline that can't be met now, or that a game insists on, is looked at again after so long."""


class OwnTime:
    """Gives the games of one partition the commands that no client sends."""

    def __init__(self, partition: Partition, outages: Sequence[tuple[int, int]]) -> None:
        """Wake the games of `partition`, which had no owner in `outages` (ms since the epoch)."""
        self._partition = partition
        self._outages = deque(outages, _REMEMBERED)
        self.until = max((to for _, to in outages), default=0)
        """A game whose newest event is older may have time to be excused: see `resume`."""
        self.deadlines = Deadlines(partition.around.loop, partition.now, self._ring)

    def activated(self, cell: Cell) -> None:
        """Wake a game that comes to life when it wants.

        A long outage is excused at once, since people look at their clocks; a short one before
        whatever happens next, so that a take-over doesn't begin with an event in every game.
        """
        self._partition.witness(cell.at)
        if self._dead(cell) > _LONG_MS:
            self.resume(cell)
        self.deadlines.arm(cell, cell.kind.next_deadline(cell.state))

    def excuse(self, since: int, to: int) -> None:
        """Count from `since` to `to`, which is now, as if nobody had owned the partition."""
        # One pause is found out by several: nobody is excused twice for it.
        while self._outages and self._outages[-1][1] >= since:
            since = min(since, self._outages.pop()[0])
        self._outages.append((since, to))
        self.until = max(self.until, to)

    def beside(self, cell: Cell, held: int) -> int:
        """Return how much of the `held` ms until now, that nobody is charged for, isn't excused."""
        now = self._partition.now()
        begun = max(now - held, cell.at)
        twice = sum(max(0, min(to, now) - max(since, begun)) for since, to in self._outages)
        return max(0, held - twice)

    def resume(self, cell: Cell) -> None:
        """Tell a game how long nobody owned it since its newest event: nobody is charged."""
        dead = self._dead(cell)
        if dead > 0:
            self._decide_alone(cell, Resume(dead))

    def _dead(self, cell: Cell) -> int:
        if cell.at >= self.until:
            return 0
        dead = 0
        for since, to in reversed(self._outages):
            if to <= cell.at:
                break
            dead += to - max(since, cell.at)
        return dead

    def _ring(self, game: str) -> None:
        self._partition.around.woken()  # a flag that was due in a pause doesn't fall by it
        if not self._partition.closed:
            self._partition.find(game, partial(self._wake, game))

    def _wake(self, game: str, found: Found) -> None:
        if self._partition.closed:
            return
        if isinstance(found, LogError):  # the store is away: the deadline waits for it
            self.deadlines.set(game, self._partition.now() + _PAUSE_MS)
        if not isinstance(found, Cell):
            return
        now = self._partition.now()
        found.timer = None
        if self._partition.journal.stuck:
            self.deadlines.arm(found, now + _PAUSE_MS)
            return
        if found.at < self.until:
            self.resume(found)
        at = found.kind.next_deadline(found.state)
        if at is not None and at <= now:
            self._decide_alone(found, Deadline())
            at = found.kind.next_deadline(found.state)
            if at is not None and at <= now:
                at = now + _PAUSE_MS  # never in a tight circle
        self.deadlines.arm(found, at)

    def _decide_alone(self, cell: Cell, command: Deadline | Resume) -> None:
        """Let the game decide a command of the runtime's own."""
        now = self._partition.now()
        kind, seed = cell.kind, self._partition.seed()
        context = Context(cell.game, now, seed=seed, version=kind.version)
        try:
            events = kind.decide(cell.state, command, context)
        except (Rejected, Repeated):
            return
        except Exception as error:  # noqa: BLE001  (a game's own failure stays its own)
            _log.exception("game %s: %s failed", cell.game, type(command).__name__)
            self._partition.residents.fail(cell.game, f"{type(error).__name__}: {error}")
            return
        if events:
            self._partition.record(cell, events, now)
