"""Questions about games: the state, the events after a seq, and the beginning of a watch.

Like every answer, these wait until what they tell is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from persistence.log import LogError
from runtime.batch import Sink
from runtime.cell import Cell
from runtime.partition import Partition
from runtime.residents import Found
from runtime.wire import (
    AttendIn,
    AwayOut,
    EventsIn,
    MissedOut,
    MovedOut,
    PackedOut,
    StateIn,
    UnwatchIn,
    WatchIn,
)


class Reading:
    """Answers a partition's questions."""

    def __init__(self, partition: Partition) -> None:
        """Read the games of `partition`."""
        self._partition = partition
        self._audience = partition.audience
        partition.answer_poll = self._events

    def _ask(self, link: Sink, reply: int, game: str, then: Callable[[Cell], None]) -> None:
        """Call `then` with the live cell, or answer why there's none."""

        def found(cell: Found) -> None:
            if self._partition.closed:
                link.push(MovedOut(reply, self._partition.id))
            elif isinstance(cell, Cell):
                cell.touched = self._partition.around.loop.time()
                then(cell)
            else:
                self._partition.excuse(link, reply, cell)

        self._partition.find(game, found)

    def state(self, link: Sink, ask: StateIn) -> None:
        """Answer with the state."""
        self._ask(link, ask.reply, ask.game, lambda cell: self._state(cell, link, ask.reply))

    def _state(self, cell: Cell, link: Sink, reply: int) -> None:
        epoch = self._partition.epoch
        state = cell.kind.pack(cell.state)
        message = PackedOut(reply, self._partition.id, epoch, cell.kind.name, cell.seq, state)
        self._partition.say(cell, link, message)

    def events(self, link: Sink, ask: EventsIn) -> None:
        """Answer with the events after a seq, or wait for the next one."""

        def read(cell: Cell) -> None:
            if cell.durable <= ask.after and ask.wait_ms > 0:
                self._audience.poll(link, ask, partial(self._expired, cell))
            else:
                self._events(cell, link, ask)

        self._ask(link, ask.reply, ask.game, read)

    def _expired(self, cell: Cell, link: Sink, ask: EventsIn) -> None:
        self._events(cell, link, ask)

    def watch(self, link: Sink, ask: WatchIn) -> None:
        """Begin a watch; answer with the state, or with what was missed."""

        def begin(cell: Cell) -> None:
            self._audience.watch(ask.game, link)
            if ask.after is None:
                self._state(cell, link, ask.reply)
            else:
                self._events(cell, link, ask)

        self._ask(link, ask.reply, ask.game, begin)

    def unwatch(self, link: Sink, ask: UnwatchIn) -> None:
        """End a watch."""
        self._audience.unwatch(ask.game, link)

    def attend(self, link: Sink, ask: AttendIn) -> None:
        """Take who is connected at one gateway; tell everybody if that changes the picture."""
        cell = self._partition.cells.get(ask.game)
        if cell is not None and self._audience.attend(link, ask, self._partition.now()):
            self._audience.announce(cell)

    def leave(self, link: Sink) -> None:
        """Forget a link that broke."""
        for game in self._audience.leave(link, self._partition.now()):
            cell = self._partition.cells.get(game)
            if cell is not None:
                self._audience.announce(cell)

    def _events(self, cell: Cell, link: Sink, ask: Any) -> None:
        """Answer with the durable events after `ask.after`, from memory if it reaches so far."""
        first = cell.seq - len(cell.tail) + 1
        if ask.after + 1 >= first:
            start = max(ask.after + 1 - first, 0)
            self._missed(cell, link, ask.reply, cell.tail[start : cell.durable - first + 1])
            return

        def read(events: Sequence[bytes] | LogError) -> None:
            if self._partition.closed:
                link.push(MovedOut(ask.reply, self._partition.id))
                return
            if isinstance(events, LogError):
                link.push(AwayOut(ask.reply, 1000))
                return
            first = cell.seq - len(cell.tail) + 1
            if len(events) < first - 1:  # a snapshot was written meanwhile: the store has more now
                self._partition.history(cell.game, read)
                return
            tail = cell.tail[len(events) + 1 - first : cell.durable - first + 1]
            self._missed(cell, link, ask.reply, [*events[ask.after :], *tail])

        self._partition.history(cell.game, read)

    def _missed(self, cell: Cell, link: Sink, reply: int, events: Sequence[bytes]) -> None:
        kind, epoch = cell.kind.name, self._partition.epoch
        link.push(MissedOut(reply, self._partition.id, epoch, kind, cell.durable, events))
