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
    CaughtOut,
    EventsIn,
    MissedOut,
    MovedOut,
    PackedOut,
    Rewatch,
    RewatchIn,
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
                cell.touched = self._partition.residents.now
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
            self._audience.watch(cell, link)
            if ask.after is None:
                self._state(cell, link, ask.reply)
            else:
                self._events(cell, link, ask)

        self._ask(link, ask.reply, ask.game, begin)

    def rewatch(self, link: Sink, ask: RewatchIn) -> None:
        """Take up watches that another owner had; tell each what it missed."""
        partition = self._partition
        for each in ask.games:
            told = partition.residents.unread(each.game, each.after)
            if told is not None:
                partition.returning.add(link, each)
                link.push(CaughtOut(partition.id, partition.epoch, each.game, *told))
                continue
            try:
                partition.find(each.game, partial(self._taken_up, link, each))
            except Exception as error:  # noqa: BLE001  (one game's failure is no other's)
                partition.quarantine(link, 0, each.game, error)

    def _taken_up(self, link: Sink, again: Rewatch, found: Found) -> None:
        partition = self._partition
        if partition.closed or not isinstance(found, Cell):
            return  # it's asked again, there or here
        cell = found
        partition.returning.take_up(cell, link, again, partition.now())

        def tell(events: Sequence[bytes] | LogError) -> None:
            if not isinstance(events, LogError) and not partition.closed:
                link.push(CaughtOut(partition.id, partition.epoch, cell.game, cell.durable, events))

        self._after(cell, again.after, tell)

    def unwatch(self, link: Sink, ask: UnwatchIn) -> None:
        """End a watch."""
        cell = self._partition.cells.get(ask.game)
        if cell is not None:
            self._audience.unwatch(cell, link)
        else:
            self._partition.returning.unwatch(link, ask.game)

    def attend(self, link: Sink, ask: AttendIn) -> None:
        """Take who is connected at one gateway; tell everybody if that changes the picture."""
        cell = self._partition.cells.get(ask.game)
        if cell is None:
            self._partition.returning.attend(link, ask)
        elif self._audience.attend(cell, link, ask, self._partition.now()):
            self._audience.announce(cell)

    def leave(self, link: Sink) -> None:
        """Forget a link that broke."""
        self._partition.returning.leave(link)
        for cell in self._audience.leave(link, self._partition.now()):
            self._audience.announce(cell)

    def _events(self, cell: Cell, link: Sink, ask: Any) -> None:
        """Answer with the durable events after `ask.after`."""

        def answer(events: Sequence[bytes] | LogError) -> None:
            if self._partition.closed:
                link.push(MovedOut(ask.reply, self._partition.id))
            elif isinstance(events, LogError):
                link.push(AwayOut(ask.reply, 1000))
            else:
                kind, epoch = cell.kind.name, self._partition.epoch
                seq = cell.durable
                link.push(MissedOut(ask.reply, self._partition.id, epoch, kind, seq, events))

        self._after(cell, ask.after, answer)

    def _after(
        self, cell: Cell, after: int, then: Callable[[Sequence[bytes] | LogError], None]
    ) -> None:
        """Call `then` with the durable events after a seq, from memory if it reaches so far."""
        if after >= cell.saved:
            then(cell.events(after, cell.durable))
            return

        def read(events: Sequence[bytes] | LogError) -> None:
            if isinstance(events, LogError):
                then(events)
            elif len(events) < cell.saved:  # a snapshot came meanwhile: the store has more now
                self._partition.history(cell.game, read)
            else:
                then([*events[after:], *cell.events(len(events), cell.durable)])

        self._partition.history(cell.game, read)
