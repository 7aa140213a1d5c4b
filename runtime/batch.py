"""A group of events that become durable together, and what is said once they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from persistence.log import Record

if TYPE_CHECKING:
    from runtime.cell import Cell
    from runtime.wire import Message


class Sink(Protocol):
    """Where answers go: a link, or whoever asks from inside the shard."""

    def push(self, message: Message) -> None:
        """Take an answer."""
        ...


class Note(Struct, eq=False):
    """One event of a batch: whose it is, and who asked for it (`reply` 0: nobody waits)."""

    cell: Cell
    seq: int
    data: bytes
    sink: Sink | None
    reply: int


class Batch:
    """Records for one append, and what follows once they're durable, in this order.

    Attributes:
        records: What is appended.
        notes: Each record's event, for those who watch its game and whoever asked for it.
        outputs: Answers about a state that these records are part of.
        effects: Send the commands to other games that follow from the events.
    """

    __slots__ = ("effects", "notes", "outputs", "records")

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.notes: list[Note] = []
        self.outputs: list[tuple[Sink, Any]] = []
        self.effects: list[Callable[[], None]] = []

    def extend(self, later: Batch) -> None:
        """Take all of a batch that follows this one."""
        for note in later.notes:
            if note.cell.batch is later:
                note.cell.batch = self
        self.records += later.records
        self.notes += later.notes
        self.outputs += later.outputs
        self.effects += later.effects
