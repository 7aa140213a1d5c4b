"""What a partition writes behind to the hot state: durable states only, each game once a turn.

The mark that a write leaves is the offset below which everything durable is in it, in an earlier
write that is still there, or in a snapshot. It's taken before the first game is looked at; a game
that can't be packed just then keeps the mark where it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from persistence.hot_state import Entry, HotState, Mark, Overtaken, Warm, Write
from persistence.log import LogError, Record
from runtime.cell import Cell
from runtime.slices import in_slices

if TYPE_CHECKING:
    from runtime.partition import Partition

_log = logging.getLogger(__name__)
_ENDED_S = 3600
_LIVE_S = 24 * 3600
"""Of no use for longer: snapshots hold a game that nothing happens to."""
_TRIES = 20
_TRY_S = 0.005
"""A game whose newest event isn't durable yet is looked at again so soon, so often."""


class Warming:
    """What one partition has written, and what it hasn't yet."""

    def __init__(self, partition: Partition, *, served: bool = False) -> None:
        """Write what `partition` tells: its batches to `heard`, its snapshots to `saved`.

        `served` is whether the hot state spared the take-over a part of the log.
        """
        self.served = served
        self.heard: list[Sequence[Record]] = []
        """The durable records of the time since the last turn."""
        self.saved: set[str] = set()
        """Games that came to be in the snapshot store meanwhile."""
        self.overtaken = False
        self.mark: Mark | None = None
        """What we left there last; None if we don't know what is there."""
        self._partition = partition
        self._held: set[str] = set()
        self._listed: set[str] = set()

    async def turn(self, hot: HotState) -> int:
        """Write what there is to write; return how many games that were.

        Raises:
            Unavailable: If it isn't known to be written. The next turn writes everything.
        """
        if self.overtaken or not self._partition.revived.is_set():
            self.forget()
            return 0
        write = await self.collect()
        if write is None or self._partition.closed:
            return 0
        mark, self.mark = self.mark, None
        try:
            self.mark = await hot.write(write)
        except Overtaken:
            self.overtaken = True
            _log.warning("partition %d: its hot state is newer than we are", write.partition)
            return 0
        if self.mark is None:
            _log.info("partition %d: its hot state isn't as we left it", write.partition)
            return 0
        self._note(write, whole=mark is None)
        return len(write.games)

    def forget(self) -> None:
        """Nothing can be written now; once it can, everything is."""
        self.mark = None
        self.heard.clear()
        self.saved.clear()

    def _note(self, write: Write, *, whole: bool) -> None:
        if whole:
            self._listed.clear()
        self._listed.difference_update(write.gone)
        for entry in write.games:
            (self._listed.add if entry.listed else self._listed.discard)(entry.game)

    # --- what to write ---------------------------------------------------------------------------

    async def collect(self) -> Write | None:
        """Return the next write; None if there's nothing to say."""
        partition, base, journal = self._partition, self.mark, self._partition.journal
        # All at one moment; what comes while we pack is for the next turn.
        offset = journal.done
        heard, self.heard = self.heard, []
        saved, self.saved = self.saved, set()
        if base is None:
            names, deadlines = set(journal.unsaved()), await self._deadlines()
        else:
            names, deadlines = {r.game for records in heard for r in records} | self._held, ()
        packed: dict[str, Entry] = {}
        self._held = held = await self._pack(names, packed)
        if held:
            offset = base.offset if base is not None else min(offset, journal.checkpoint())
        gone = [g for g in saved & self._listed if g not in packed and self._clean(g)]
        if base is not None and not packed and not gone and offset == base.offset:
            return None
        return Write(
            partition.id, partition.epoch, offset, base, list(packed.values()), gone, deadlines
        )

    def _clean(self, game: str) -> bool:
        cell = self._partition.cells.get(game)
        if cell is None:
            return game not in self._partition.residents.failed
        return cell.saved == cell.seq

    async def _deadlines(self) -> Sequence[tuple[str, int]]:
        # The store's, since they are all there; those of unsaved games follow with the games.
        store, partition = self._partition.around.store, self._partition.id
        return [each async for some in store.deadlines(partition) for each in some]

    async def _pack(self, names: Iterable[str], packed: dict[str, Entry]) -> set[str]:
        """Pack games as they are; return those that weren't to be had."""
        for left in range(_TRIES, 0, -1):
            held: set[str] = set()
            await in_slices(self._pack_one(name, packed, held) for name in names)
            if (
                left == 1
                or self._partition.closed
                or held <= self._partition.residents.failed.keys()
            ):
                return held
            await asyncio.sleep(_TRY_S)
            names = held
        raise AssertionError

    def _pack_one(self, game: str, packed: dict[str, Entry], held: set[str]) -> None:
        cell = self._partition.cells.get(game)
        if cell is None:
            if game in self._partition.residents.failed:
                held.add(game)  # its events are in the log only
        elif cell.batch is not None:
            held.add(game)
        else:
            try:
                packed[game] = self._entry(cell)
            except Exception as error:  # noqa: BLE001  (a game's own failure stays its own)
                _log.exception("game %s can't be packed", game)
                self._partition.residents.fail(game, f"{type(error).__name__}: {error}")
                held.add(game)

    def _entry(self, cell: Cell) -> Entry:
        game, kind = cell.game, cell.kind
        game.encode()  # an id that isn't text can't be anywhere
        ended = kind.outline(cell.state).status == "ended"
        epoch, state, tail = self._partition.epoch, cell.pack(), cell.tail
        warm = Warm(epoch, cell.seq, cell.saved, cell.ended, state, tail)
        ttl = _ENDED_S if ended else _LIVE_S
        return Entry(game, warm, cell.saved < cell.seq, kind.next_deadline(cell.state), ttl)


class Warmer:
    """Gives each partition of a shard its turn, about every second."""

    def __init__(self, hot: HotState, every: float) -> None:
        """Write to `hot`, each partition every so many seconds."""
        self._hot = hot
        self._every = every
        self.writes = self.games = 0

    async def run(
        self, partitions: dict[int, Partition], outbox: Callable[[], Collection[int]]
    ) -> None:
        """Write until cancelled. Nothing is waited for while the hot state is away.

        What a log has in its `outbox` has no place in the log yet: such partitions wait.
        """
        while True:
            began = monotonic()
            elsewhere = outbox()
            for partition in list(partitions.values()):
                warming = partition.warming
                if warming is None or partition.closed:
                    continue
                if self._hot.healthy and partition.id not in elsewhere:
                    await self._turn(warming)
                else:
                    warming.forget()
            await asyncio.sleep(max(_TRY_S, began + self._every - monotonic()))

    async def _turn(self, warming: Warming) -> None:
        try:
            games = await warming.turn(self._hot)
        except Exception as error:  # noqa: BLE001  (without it, nothing would ever be written)
            warming.forget()
            if not isinstance(error, LogError):
                _log.exception("the hot state isn't written")
        else:
            self.writes += games > 0
            self.games += games

    def status(self, partitions: Iterable[Partition]) -> dict[str, object]:
        """Return how it does, for GET /shards."""
        known = [p.warming for p in partitions if p.warming is not None]
        return {
            "kind": "redis",
            "healthy": self._hot.healthy and not any(w.overtaken for w in known),
            "writes": self.writes,
            "games": self.games,
            "unwritten": sum(w.mark is None for w in known),
            "served": sum(w.served for w in known),
        }
