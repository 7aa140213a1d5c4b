"""A group of events that become durable together, and what is said once they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from persistence.log import Record

if TYPE_CHECKING:
    from actors.behaviour import Effect
    from runtime.cell import Cell
    from runtime.wire import Message


class Sink(Protocol):
    """Where answers go: a link, or whoever asks from inside the shard."""

    def push(self, message: Message) -> None:
        """Take an answer."""
        ...


class Note(NamedTuple):
    """One event of a batch: whose it is, and who asked for it (`reply` 0: nobody waits)."""

    cell: Cell
    seq: int
    data: bytes
    sink: Sink | None
    reply: int


class Batch:
    """Records for one append; `outputs` run after it, in order, once everybody saw the events."""

    __slots__ = ("effects", "notes", "outputs", "records")

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.notes: list[Note] = []
        self.outputs: list[Callable[[], None]] = []
        self.effects: list[tuple[int, str, Effect]] = []
        """Offset within the batch, key, command to another game."""
