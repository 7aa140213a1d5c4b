"""How an owner takes a partition over: claim, read what no snapshot holds, serve.

Only games that the tail of the log touches are brought to life; the others wait in the store until
somebody asks, or their deadline comes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from actors.behaviour import millis
from persistence.log import Claim, Record
from runtime import marks
from runtime.cell import Cell, restore
from runtime.partition import Partition, Surroundings

_log = logging.getLogger(__name__)
_LOAD = 1000
_BREATH = 2000
"""After so many events the loop gets a turn, so that other partitions' games go on."""


class _Created(Struct):
    """What the first event of any game tells about its kind."""

    kind: str


_created = msgspec.json.Decoder(_Created)


async def open_partition(partition: int, epoch: int, owner: str, around: Surroundings) -> Partition:
    """Claim `partition` and return it ready to serve.

    Raises:
        persistence.log.Fenced: If the assignment isn't (or no longer) ours.
        persistence.log.Unavailable: If the log or the store doesn't answer.
    """
    claim = await around.log.claim(partition, epoch, owner)
    opened = Partition(claim, around)
    games = await _tail(claim, around)
    effects: list[tuple[str, int, Sequence[object]]] = []
    names = list(games)
    for i in range(0, len(names), _LOAD):
        stored = await around.store.load(names[i : i + _LOAD])
        done = 0
        for name in names[i : i + _LOAD]:
            state = stored[name].state if name in stored else None
            _revive(opened, name, state, games[name], effects)
            done += len(games[name])
            if done > _BREATH:
                done = 0
                await asyncio.sleep(0)
    # In the order of the log, so that the journal's oldest unsaved event comes first.
    first = {
        name: next(offset for offset, record in games[name] if record.seq > cell.saved)
        for name, cell in opened.cells.items()
        if cell.saved < cell.seq
    }
    for name, offset in sorted(first.items(), key=lambda entry: entry[1]):
        opened.journal.replayed(name, offset)
    for name in opened.residents.failed:
        opened.journal.replayed(name, games[name][0][0])
    async for deadlines in around.store.deadlines(partition):
        opened.own_time.deadlines.load(
            [entry for entry in deadlines if entry[0] not in opened.cells]
        )
    for cell in list(opened.cells.values()):
        opened.own_time.resume(cell)
        opened.own_time.deadlines.arm(cell, cell.kind.next_deadline(cell.state))
    for key, offset, commands in effects:
        opened.journal.sending(offset, commands)  # type: ignore[arg-type]
        opened.send_effects(key, offset, commands)
    return opened


async def _tail(claim: Claim, around: Surroundings) -> dict[str, list[tuple[int, Record]]]:
    """Return the records from the checkpoint on by game, each with its offset."""
    games: dict[str, list[tuple[int, Record]]] = {}
    offset = claim.checkpoint
    async for records in around.log.read(claim.partition, claim.checkpoint, claim.head):
        for record in records:
            games.setdefault(record.game, []).append((offset, record))
            offset += 1
    if offset != claim.head:
        raise RuntimeError(
            f"partition {claim.partition}: the log ends at {offset}, its head is {claim.head}"
        )
    return games


def _revive(
    opened: Partition,
    name: str,
    state: bytes | None,
    records: Sequence[tuple[int, Record]],
    effects: list[tuple[str, int, Sequence[object]]],
) -> None:
    """Bring one game to life from its snapshot and the records behind it."""
    kinds = opened.around.kinds
    try:
        if state is None:
            cell = Cell(name, kinds[_created.decode(records[0][1].value).kind])
        else:
            cell = restore(name, kinds, state)
        for offset, record in records:
            event = cell.kind.event_decoder.decode(record.value)
            if sent := cell.kind.effects(event):
                effects.append((f"{name}:{record.seq}", offset, sent))
            if record.seq <= cell.seq:
                continue
            if record.seq != cell.seq + 1:
                raise ValueError(f"event {record.seq} follows event {cell.seq}")
            cell.state = cell.kind.evolve(cell.state, event)
            cell.seq = cell.durable = record.seq
            cell.at = millis(event.at)
            cell.ended = cell.ended or event.ends
            cell.tail.append(record.value)
            if record.key:
                cell.marks = marks.remember(cell.marks, record.key, record.seq)
    except Exception as error:  # noqa: BLE001  (a game's own failure stays its own)
        _log.exception("game %s fails in replay", name)
        opened.residents.fail(name, f"{type(error).__name__}: {error}")
        return
    opened.witness(cell.at)
    opened.residents.add(cell, opened.around.loop.time())
