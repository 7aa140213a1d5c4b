"""Brings games back to life that the store doesn't hold as they are, each from the nearest tier.

    hot state (seq s)  +  the log from its mark on        what was written a second ago
    snapshot (seq s)   +  the log from the checkpoint on  if there's no hot state, or it doesn't fit

The log is believed, never the hot state: what that has of a game must fit to the records behind its
mark, one by one. If anything is missing or odd, the whole stretch from the checkpoint on is read,
and the hot state isn't looked at any more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from actors.behaviour import Effect, millis
from persistence.hot_state import Hot, Warm
from persistence.log import Claim, LogError, Placed, Record, Unavailable
from persistence.snapshots import Stored
from runtime import marks
from runtime.behaviours import Kind
from runtime.cell import Cell, restore
from runtime.partition import Partition
from runtime.residents import Failed, Found
from runtime.saving import Loader
from runtime.tails import Tail, follows, read_tail, warm_fits

_log = logging.getLogger(__name__)
_LOAD = 25
"""So many games are brought to life at a time..."""
_BREATH_S = 0.02
"""...and then the games that somebody asks for have their turn for so long, or..."""
_SHARE = 3
"""...for so many times as long as those took: the busier the shard, the longer."""
_PAUSE_S = 0.5


class _Created(Struct):
    """What the first event of any game tells about its kind."""

    kind: str


_created = msgspec.json.Decoder(_Created)


class Revival:
    """The games of one partition that wait for their life."""

    def __init__(self, partition: Partition, claim: Claim, tail: Tail, hot: Hot | None) -> None:
        """Note what tail and hot state hold as unsaved: nobody knows what snapshots hold of it."""
        self._partition = partition
        self._claim = claim
        self._tail = tail
        self._hot = hot
        self._warm = dict(hot.games) if hot is not None else {}
        self._done: set[str] = set()
        self._deepening = asyncio.Lock()
        for game in self._warm:
            partition.journal.replayed(game, claim.checkpoint)
        for game, records in tail.items():
            partition.journal.replayed(game, records[0][0])
        if tail:  # an owner's clock never runs backwards: the last event is the newest
            partition.witness(_at(max(records[-1] for records in tail.values())[1]))

    def begin(self) -> None:
        """Let the partition find its games here, until all of them live."""
        residents = self._partition.residents
        residents.revive = self.revive
        residents.unread = self.unread
        if self._hot is not None:
            residents.loader = Loader(self)
        self._partition.around.spawn(self._run())

    async def _run(self) -> None:
        """Bring all of them to life, a few at a time."""
        partition = self._partition
        loop = asyncio.get_running_loop()
        while (names := self._next()) and not partition.closed:
            since = loop.time()
            try:
                stored = await self.load(names)
            except Exception as error:  # noqa: BLE001  (tried again, or these games were lost)
                if not isinstance(error, LogError):
                    _log.exception("partition %d can't be revived", partition.id)
                await asyncio.sleep(_PAUSE_S)
                continue
            for name in names:
                if name not in self._done and not partition.closed:
                    self.revive(name, stored.get(name))
            if self._tail or self._warm:
                await asyncio.sleep(max(_BREATH_S, _SHARE * (loop.time() - since)))
        self._hot = None
        self._done.clear()
        partition.residents.loader = partition.around.loader
        partition.revived.set()

    def _next(self) -> list[str]:
        names: list[str] = []
        for source in (self._tail, self._warm):
            for name in source:
                if len(names) == _LOAD:
                    return names
                if source is self._tail or name not in self._tail:
                    names.append(name)
        return names

    # --- what the other tiers have ---------------------------------------------------------------

    async def load(self, games: Sequence[str]) -> Mapping[str, Stored | Warm]:
        """See `runtime.saving.Shelf`: each game from the nearest tier that fits to the log."""
        found: dict[str, Stored | Warm] = {}
        if warm := [game for game in games if game in self._warm]:
            found.update(await self._load_warm(warm))
        if cold := [game for game in games if game not in found]:
            stored = await self._partition.around.store.load(cold)
            if self._hot is not None and not all(
                follows(held.seq if (held := stored.get(game)) else 0, self._tail.get(game, ()))
                for game in cold
                if game not in self._done
            ):
                await self._deepen("a game that snapshots should hold isn't there")
            found.update(stored)
        return found

    async def _load_warm(self, games: Sequence[str]) -> Mapping[str, Warm]:
        hot = self._partition.around.hot
        assert hot is not None
        try:
            found = await hot.load(games)
        except Unavailable as error:
            await self._deepen(str(error))
            return {}
        if self._hot is None:  # somebody else found out meanwhile that it's of no use
            return {}
        for game in games:
            if game in self._warm and not self._fits(game, found.get(game)):
                await self._deepen(f"game {game} is missing or another")
                return {}
        return {game: found[game] for game in games if game in self._warm}

    def _fits(self, game: str, warm: Warm | None) -> bool:
        if warm is None or warm.seq < self._warm[game] or warm.epoch >= self._claim.epoch:
            return False
        return warm_fits(warm, self._tail.get(game, ()))

    async def _deepen(self, why: str) -> None:
        """Read the log from the checkpoint on, and be done with the hot state."""
        async with self._deepening:
            if self._hot is None:
                return
            partition, claim, start = self._partition, self._claim, self._hot.mark.offset
            _log.warning("partition %d: back to the snapshots: %s", partition.id, why)
            older = await read_tail(partition.around.log, claim, claim.checkpoint, start)
            for game in [g for g in self._warm if g not in older and g not in self._tail]:
                partition.journal.clean(game)  # snapshots hold all of it
            for game, records in older.items():
                # Who was asked for meanwhile came from its snapshot, lives, and may know of more.
                if game not in self._done and not partition.residents.known(game):
                    partition.journal.clean(game)
                    partition.journal.replayed(game, claim.checkpoint)
                    self._tail[game] = [*records, *self._tail.get(game, ())]
            self._hot = None
            self._warm.clear()

    # --- one game --------------------------------------------------------------------------------

    def unread(self, name: str, after: int) -> tuple[int, Sequence[bytes]] | None:
        """See `Residents.unread`."""
        records, warm = self._tail.get(name, ()), self._warm.get(name)
        if not records:
            return (warm, []) if warm is not None and after >= warm else None
        if records[0][1].seq > after + 1 and (warm is None or after < warm):
            return None
        return records[-1][1].seq, [r.value for _, r in records if r.seq > after]

    def revive(self, name: str, stored: Stored | Warm | None) -> Found:
        """Bring one game to life from what rests of it and the records behind that.

        None if there's nothing of it here (any more).
        """
        if name not in self._tail and name not in self._warm:
            # What the hot state has of a game counts here only: see `load`.
            return Unavailable("it lives") if isinstance(stored, Warm) else None
        if name in self._warm and not isinstance(stored, Warm):
            return Unavailable("it's read anew")  # asked before the hot state was looked at
        records = self._tail.pop(name, [])
        self._warm.pop(name, None)
        self._done.add(name)
        partition = self._partition
        if (living := partition.cells.get(name)) is not None:
            return living  # a second life would forget what happened in the first
        if name in partition.residents.failed:
            return Failed(partition.residents.failed[name])  # so would one after a quarantine
        try:
            cell = self._replay(name, stored, records)
        except Exception as error:  # noqa: BLE001  (a game's own failure stays its own)
            _log.exception("game %s fails in replay", name)
            return partition.residents.fail(name, f"{type(error).__name__}: {error}")
        if cell.saved == cell.seq:
            partition.journal.clean(name)
        return partition.residents.begin(cell)

    def _replay(self, name: str, stored: Stored | Warm | None, records: Sequence[Placed]) -> Cell:
        partition = self._partition
        cell = revived(name, partition.around.kinds, stored, records)
        effects = replay(cell, records)
        for seq, offset, commands in effects:
            partition.journal.sending(offset, commands)
            partition.send_effects(f"{name}:{seq}", offset, commands)
        return cell


def revived(
    name: str, kinds: dict[str, Kind], stored: Stored | Warm | None, records: Sequence[Placed]
) -> Cell:
    """Return the cell of what rests of a game; new if nothing does, as its first record says."""
    if stored is None:
        return Cell(name, kinds[_created.decode(records[0][1].value).kind])
    cell = restore(name, kinds, stored.state)
    if isinstance(stored, Warm):
        if cell.seq != stored.seq:
            raise ValueError(f"a state of event {cell.seq} as of event {stored.seq}")
        cell.saved, cell.tail, cell.ended = stored.saved, stored.tail, stored.ended
    return cell


def replay(cell: Cell, records: Iterable[Placed]) -> Sequence[tuple[int, int, Sequence[Effect]]]:
    """Evolve a cell by those records that it doesn't know; return (seq, offset, effects) of all.

    Raises:
        ValueError: If a record is missing before one of them.
        Exception: Whatever the behaviour raises.
    """
    kind, state, seq = cell.kind, cell.state, cell.seq
    effects: list[tuple[int, int, Sequence[Effect]]] = []
    values: list[bytes] = []
    event: Any = None
    decode, evolve = kind.event_decoder.decode, kind.evolve
    for offset, (_, number, value, key) in records:
        event = decode(value)
        if sent := kind.effects(event):
            effects.append((number, offset, sent))
        if number <= seq:
            continue
        if number != seq + 1:
            raise ValueError(f"event {number} follows event {seq}")
        state = evolve(state, event)
        seq = number
        if event.ends:
            cell.ended = True
        values.append(value)
        if key:
            cell.marks = marks.remember(cell.marks, key, seq)
    if values:
        cell.state, cell.at = state, millis(event.at)
        cell.seq = cell.durable = seq
        cell.remember(values)
    return effects


class _Stamped(Struct):
    """When an event of any game happened."""

    at: datetime


_stamped = msgspec.json.Decoder(_Stamped)


def _at(record: Record) -> int:
    try:
        return millis(_stamped.decode(record.value).at)
    except (msgspec.DecodeError, ValueError):
        return 0  # its game will be in quarantine; no other game's time depends on it
