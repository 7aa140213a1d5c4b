"""A consumer's work: every game that ended is kept for good, as its behaviour exports it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import time
from typing import Any

import msgspec
from msgspec import Struct

from actors.behaviour import Behaviour, millis
from persistence import archive
from persistence.archive import Archived
from persistence.kafka.consumer_plan import Item
from persistence.kafka.records import record_name
from runtime.behaviours import Kind
from runtime.whole_history import WholeHistory

_ENVELOPE = ("type", "game", "seq", "at")


class _First(Struct):
    kind: str


class Unknown(Exception):  # noqa: N818  (what it is)
    """No package that is installed here brings the game's kind."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"no game of kind {kind!r} is installed here")
        self.kind = kind


class Other(Exception):  # noqa: N818  (what it is)
    """The record isn't what the game's history has at its place."""

    def __init__(self, game: str, seq: int) -> None:
        super().__init__(f"event {seq} of game {game} is another one in its history")
        self.game = game
        self.seq = seq


class Archiving:
    """`persistence.kafka.consumer_work.Work` that archives ended games of any kind.

    Names aren't archived, only ids: a name can be erased, and the archive is for good.
    """

    name = "archive"

    def __init__(self, behaviours: Mapping[str, Behaviour], histories: WholeHistory) -> None:
        """Archive games of `behaviours`, whose events are in `histories`."""
        self._kinds = {name: Kind(behaviour) for name, behaviour in behaviours.items()}
        self._histories = histories
        self.wanted = frozenset(
            record_name(str(event.__struct_config__.tag)).encode()
            for behaviour in behaviours.values()
            for event in behaviour.events
            if event.ends
        )

    async def prepare(self, item: Item) -> Archived:
        """See `Work.prepare`."""
        event = item.event
        assert event is not None
        age_s = time() - item.record.timestamp / 1000
        history = await self._histories.up_to(item.place, event.game, event.seq, age_s)
        if history[-1] != event.value:
            raise Other(event.game, event.seq)
        return archived(self._kinds, history)

    async def store(self, cursor: Any, prepared: Sequence[Archived]) -> None:
        """See `Work.store`."""
        await archive.add(cursor, prepared)


def archived(kinds: Mapping[str, Kind], history: Sequence[bytes]) -> Archived:
    """Return what is kept of a game, from all its events up to the one that ended it.

    Raises:
        Unknown: If its kind isn't installed.
        Exception: Whatever the behaviour raises on a history that it can't read.
    """
    name = msgspec.json.decode(history[0], type=_First).kind
    if name not in kinds:
        raise Unknown(name)
    kind = kinds[name]
    events = [kind.event_decoder.decode(event) for event in history]
    state: Any = None
    for event in events:
        state = kind.evolve(state, event)
    outline, behaviour, last = kind.outline(state), kind.behaviour, events[-1]
    fields = msgspec.json.decode(history[-1])
    return Archived(
        game=last.game,
        kind=name,
        seq=last.seq,
        ended_at=millis(last.at),
        players=dict(outline.seats),
        result={field: value for field, value in fields.items() if field not in _ENVELOPE},
        moves=outline.moves,
        exports={ending: behaviour.export(ending, events) for ending in behaviour.exports},
    )
