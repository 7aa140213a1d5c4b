"""How an owner takes a partition over: claim, read what no snapshot holds, serve.

It serves as soon as the tail of the log is in memory. A game that the tail touches is brought to
life when somebody asks for it, or in its turn; all others wait in the store until somebody asks,
or their deadline comes. So the pause that players see doesn't grow with what there is to replay.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from actors.behaviour import millis
from persistence.log import Claim, LogError, Placed, Record
from persistence.snapshots import Stored
from runtime import marks
from runtime.cell import Cell, restore
from runtime.partition import Partition, Surroundings
from runtime.residents import Found

_log = logging.getLogger(__name__)
_LOAD = 25
"""So many games are brought to life at a time..."""
_BREATH_S = 0.02
"""...and then the games that somebody asks for have their turn for so long."""
_PAUSE_S = 0.5

Tail = dict[str, list[Placed]]
"""The records from the checkpoint on by game, each with its offset."""


class _Created(Struct):
    """What the first event of any game tells about its kind."""

    kind: str


_created = msgspec.json.Decoder(_Created)


async def open_partition(partition: int, epoch: int, owner: str, around: Surroundings) -> Partition:
    """Claim `partition` and return it ready to serve.

    Raises:
        persistence.log.Fenced: If the assignment isn't (or no longer) ours.
        persistence.log.Unavailable: If the log or the store doesn't answer.
        runtime.formats.Unfit: If it may hold what can't be read here.
    """
    claim = await around.log.claim(partition, epoch, owner)
    try:
        return await _opened(claim, around)
    except BaseException:
        around.log.release(partition, epoch)  # nobody here will append under it
        raise


async def _opened(claim: Claim, around: Surroundings) -> Partition:
    await around.agree()  # after the claim: so nobody writes what we haven't heard of
    tail = await _tail(claim, around)
    deadlines = [each async for each in around.store.deadlines(claim.partition)]
    opened = Partition(claim, around)
    around.log.attach(claim.partition, claim.epoch, opened.keeping)
    revival = _Revival(opened, tail)
    opened.residents.revive = revival.revive  # before any deadline can ring
    opened.residents.unread = revival.unread
    for some in deadlines:
        opened.own_time.deadlines.load(list(some))
    around.spawn(revival.run())
    return opened


async def _tail(claim: Claim, around: Surroundings) -> Tail:
    games: Tail = {}
    async for records in around.log.read(claim.partition, claim.checkpoint, claim.head):
        for placed in records:
            games.setdefault(placed[1].game, []).append(placed)
    return games


class _Revival:
    """Brings the games of a tail to life, each once."""

    def __init__(self, partition: Partition, tail: Tail) -> None:
        """Note what the tail holds as unsaved: so far nobody knows what snapshots hold of it."""
        self._partition = partition
        self._tail = tail
        for game, records in tail.items():
            partition.journal.replayed(game, records[0][0])
        if tail:  # an owner's clock never runs backwards: the last event is the newest
            partition.witness(_at(max(records[-1] for records in tail.values())[1]))

    async def run(self) -> None:
        """Bring all of them to life, a few at a time."""
        partition, tail = self._partition, self._tail
        while tail and not partition.closed:
            names = list(tail)[:_LOAD]
            try:
                stored = await partition.around.store.load(names)
            except Exception as error:  # noqa: BLE001  (tried again, or these games were lost)
                if not isinstance(error, LogError):
                    _log.exception("partition %d can't be revived", partition.id)
                await asyncio.sleep(_PAUSE_S)
                continue
            for name in names:
                if name in tail and not partition.closed:
                    self.revive(name, stored.get(name))
            if tail:
                await asyncio.sleep(_BREATH_S)
        partition.revived.set()

    def unread(self, name: str, after: int) -> tuple[int, Sequence[bytes]] | None:
        """See `Residents.unread`."""
        records = self._tail.get(name)
        if records is None or records[0][1].seq > after + 1:
            return None
        return records[-1][1].seq, [r.value for _, r in records if r.seq > after]

    def revive(self, name: str, stored: Stored | None) -> Found:
        """Bring one game to life from its snapshot and the records behind it.

        None if the tail has (or no longer has) nothing of it.
        """
        records = self._tail.pop(name, None)
        if records is None:
            return None
        partition = self._partition
        try:
            cell = self._replay(name, stored, records)
        except Exception as error:  # noqa: BLE001  (a game's own failure stays its own)
            _log.exception("game %s fails in replay", name)
            return partition.residents.fail(name, f"{type(error).__name__}: {error}")
        if cell.saved == cell.seq:
            partition.journal.clean(name)
        return partition.residents.begin(cell)

    def _replay(self, name: str, stored: Stored | None, records: Sequence[Placed]) -> Cell:
        partition = self._partition
        kinds = partition.around.kinds
        if stored is None:
            cell = Cell(name, kinds[_created.decode(records[0][1].value).kind])
        else:
            cell = restore(name, kinds, stored.state)
        effects: list[tuple[int, int, Sequence[object]]] = []
        for offset, record in records:
            event = cell.kind.event_decoder.decode(record.value)
            if sent := cell.kind.effects(event):
                effects.append((record.seq, offset, sent))
            if record.seq <= cell.seq:
                continue
            if record.seq != cell.seq + 1:
                raise ValueError(f"event {record.seq} follows event {cell.seq}")
            cell.state = cell.kind.evolve(cell.state, event)
            cell.seq = cell.durable = record.seq
            cell.at = millis(event.at)
            cell.ended = cell.ended or event.ends
            cell.remember((record.value,))
            if record.key:
                cell.marks = marks.remember(cell.marks, record.key, record.seq)
        for seq, offset, commands in effects:
            partition.journal.sending(offset, commands)  # type: ignore[arg-type]
            partition.send_effects(f"{name}:{seq}", offset, commands)
        return cell


class _Stamped(Struct):
    """When an event of any game happened."""

    at: datetime


_stamped = msgspec.json.Decoder(_Stamped)


def _at(record: Record) -> int:
    try:
        return millis(_stamped.decode(record.value).at)
    except (msgspec.DecodeError, ValueError):
        return 0  # its game will be in quarantine; no other game's time depends on it
