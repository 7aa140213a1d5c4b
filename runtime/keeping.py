"""What of a partition is saved, and when: games one by one, all of them before it's handed over."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from persistence.log import Record, Unavailable, Unsaved
from runtime.cell import Cell
from runtime.saving import snapshot_of
from runtime.slices import in_slices

if TYPE_CHECKING:
    from runtime.partition import Partition

_log = logging.getLogger(__name__)
_FEW = 50
"""So many unsaved games are handed over by the log: their new owner replays them."""
_PREPARATIONS = 3


class Keeping:
    """Saves the games of a partition; `persistence.log.Memory` for its log."""

    def __init__(self, partition: Partition) -> None:
        """Save by the shard's saver, as its settings say."""
        self._partition = partition
        self._cells = partition.cells
        self._journal = partition.journal
        self._saver = partition.around.saver
        self._settings = partition.around.settings

    def save(self, cell: Cell) -> bool:
        """Send a cell to the store, if its state is durable; return whether one is on its way."""
        if self._cells.get(cell.game) is not cell:
            return False  # it failed: what it has become is nobody's truth
        if not cell.saving and cell.batch is None and cell.saved < cell.seq:
            try:
                self._saver.add(self._partition.id, cell, self._saved)
            except Exception as error:  # noqa: BLE001  (a game's own failure stays its own)
                _log.exception("game %s can't be packed", cell.game)
                self._partition.residents.fail(cell.game, f"{type(error).__name__}: {error}")
                return False
            self._journal.snapshotting(cell.game)
        return cell.saving > 0

    def _saved(self, cell: Cell, whole: bool) -> None:
        if whole:
            self._journal.snapshotted(cell.game)
            if self._partition.warming is not None:
                self._partition.warming.saved.add(cell.game)
        else:  # the store was at another seq than we thought; now we know, and try again
            self._journal.unsnapshotted(cell.game)
        unsaved = cell.seq - cell.saved
        if unsaved and (cell.ended or unsaved >= self._settings.snapshot_events):
            self.save(cell)

    # --- what a log that moves takes along ----------------------------------------------------

    async def whole(self) -> None:
        """See `persistence.log.Memory.whole`."""
        await self._partition.revived.wait()

    def surrender(self) -> tuple[Sequence[Record], Sequence[Unsaved]]:
        """See `persistence.log.Memory.surrender`."""
        unsaved = [self._unsaved(game) for game in self._journal.unsaved()]
        if self._journal.sends:
            raise Unavailable("effects on other games are under way")
        return self._journal.surrender(), [game for game in unsaved if game is not None]

    def _unsaved(self, game: str) -> Unsaved | None:
        cell = self._cells.get(game)
        if cell is None:
            raise Unavailable(f"game {game} is in quarantine: its events are in the log only")
        if cell.saved == cell.seq:
            return None
        try:
            return Unsaved(game, cell.seq, snapshot_of(self._partition.id, cell))
        except Exception as error:
            _log.exception("game %s can't be packed", game)
            self._partition.residents.fail(game, f"{type(error).__name__}: {error}")
            raise Unavailable(f"game {game} can't be packed") from error

    # --- before the partition goes, and now and then --------------------------------------------

    async def prepare(self) -> None:
        """Go on serving, but save what is unsaved, so that little is left to hand over."""
        await self._partition.revived.wait()
        for _ in range(_PREPARATIONS):
            unsaved = [game for game in self._journal.unsaved() if game in self._cells]
            if len(unsaved) <= _FEW:
                return
            await in_slices(self.save(self._cells[game]) for game in unsaved if game in self._cells)
            await self._saver.drain()

    async def settle(self) -> None:
        """Wait until all there is is durable and in a snapshot."""
        await self._partition.revived.wait()
        await self._journal.quiet()
        while True:
            unsaved = [self._cells[game] for game in self._journal.unsaved() if game in self._cells]
            if not await in_slices(map(self.save, unsaved), pause=0):
                return  # a game in quarantine, or after a fence, stays in the log
            await self._saver.drain()

    def chores(self) -> Iterator[None]:
        """Save what is unsaved for too long, pack what nobody needs: a game a step.

        Whoever takes the steps may do other things in between, also close the partition.
        """
        now = self._partition.around.loop.time()
        for game in self._journal.unsaved_since(now - self._settings.snapshot_after, now):
            cell = self._cells.get(game)
            if cell is not None and not self._partition.closed:
                self.save(cell)
                yield
        for cell in self._partition.residents.idle(now, self._partition.audience.watched):
            if cell is not None and not self._partition.closed:
                self.save(cell)
            yield
