"""What the stores answer to the requests of `persistence.ownership.actions`."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from persistence.log import Record
from persistence.ownership.row import PartitionOpened, Producer, Row


class Answer(Struct, frozen=True):
    """The answer to request `number`. One that nobody waits for any more is ignored."""

    number: int


class RowRead(Answer, frozen=True):
    """The row as the transaction left it."""

    row: Row


class NotOurs(Answer, frozen=True):
    """The row's condition didn't hold; nothing was written."""


class Appended(Answer, frozen=True):
    """Committed; the first record has offset `first` (mode `log` only)."""

    first: int = 0


class Conflicting(Answer, frozen=True):
    """Nothing was written: another event has the place of one of the rows."""


class RowsRead(Answer, frozen=True):
    """Rows of the outbox in their order; none: that was the last."""

    rows: Sequence[Record]


class ProducerReady(Answer, frozen=True):
    """Every older epoch of this producer id is fenced."""

    producer: Producer


class Acked(Answer, frozen=True):
    """The batch is in the log for good, from `offset` on.

    None: it was there already, and the broker doesn't tell where (DuplicateSequenceNumber).
    """

    offset: int | None


class Fenced(Answer, frozen=True):
    """The broker knows a newer epoch of the producer id; this attempt didn't land."""


class Refused(Answer, frozen=True):
    """This attempt surely didn't land; an earlier one of the same batch may have."""


class KafkaRead(Answer, frozen=True):
    """Records and claims between two offsets, in order."""

    entries: Sequence[Record | PartitionOpened]


class Loaded(Answer, frozen=True):
    """The games are in memory.

    Attributes:
        highest: The highest epoch of any claim that was read; 0: there was none.
        places: How many rows the outbox held.
    """

    highest: int = 0
    places: int = 0


class Unknown(Answer, frozen=True):
    """No answer: it may have happened, may still happen, or not."""
