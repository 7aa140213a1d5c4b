"""A claim of a partition in Kafka: once it's acknowledged, no older owner's batch can land."""

from __future__ import annotations

from typing import Protocol

from persistence.ownership.actions import InitProducer, NoteProducer, Produce, ReadRow
from persistence.ownership.answers import (
    Acked,
    Answer,
    Fenced,
    NotOurs,
    ProducerReady,
    RowRead,
    Unknown,
)
from persistence.ownership.asks import Asks
from persistence.ownership.row import LAST_PRODUCER_EPOCH, PartitionOpened, Producer, Row


class Claimant(Protocol):
    """Who claims, and hears what became of it."""

    epoch: int
    owner: str
    asks: Asks
    attempts: int
    """Claims of this epoch so far."""

    def claimed(self, claiming: Claiming, row: Row, offset: int) -> None:
        """The claim record is in the log, at `offset`; `row` is what the second look showed."""
        ...

    def unclaimed(self, claiming: Claiming) -> None:
        """Kafka doesn't answer. Call `again` to go on, `stop` to leave it."""
        ...

    def step_down(self, reason: str) -> None:
        """The row isn't ours any more."""
        ...


class Claiming:
    """InitProducerId, a second look at the row, the claim record, its acknowledgement.

    The look comes after InitProducerId: an owner of a higher epoch calls InitProducerId after the
    row was changed, so after our look, and its producer epoch is the higher one. Without the look
    an old owner that slept could fence a newer one, and append.
    """

    def __init__(self, claimant: Claimant) -> None:
        self._claimant = claimant
        self.producer = Producer(-1, 0)
        self.row: Row | None = None
        self._again = self.start
        self._number = 0

    def start(self) -> None:
        """Begin with a new producer epoch."""
        self._again = self.start
        self._claimant.attempts += 1
        self._number = self._claimant.asks.ask(InitProducer, self._ready)

    def again(self) -> None:
        """Repeat the step that has no answer."""
        self._again()

    def stop(self) -> None:
        """Hear no more of it. What is under way may still happen: it harms only ourselves."""
        self._claimant.asks.forget(self._number)

    def _ready(self, answer: Answer) -> None:
        if isinstance(answer, ProducerReady):
            self.producer = answer.producer
            self._look()
        else:
            self._claimant.unclaimed(self)

    # --- the row ----------------------------------------------------------------------------------

    def _look(self) -> None:
        self._number = self._claimant.asks.ask(ReadRow, self._looked)

    def _looked(self, answer: Answer) -> None:
        if not isinstance(answer, RowRead):
            self._look()
            return
        self.row = row = answer.row
        if (row.epoch, row.owner) != (self._claimant.epoch, self._claimant.owner):
            self._claimant.step_down(f"the row says epoch {row.epoch}")
        elif row.producer_id == self.producer.id:
            self._claim()
        elif row.producer_id is None:
            self._note()
        else:
            self._fence_old(row.producer_id)

    def _fence_old(self, old: int) -> None:
        """The transactional id had expired: batches under the old producer id are still taken."""
        self._again = lambda: self._fence_old(old)
        self._number = self._claimant.asks.ask(
            Produce, self._old_fenced, Producer(old, LAST_PRODUCER_EPOCH), 0, [self._record(old)]
        )

    def _old_fenced(self, answer: Answer) -> None:
        if isinstance(answer, Acked):
            self._note()
        else:
            self._claimant.unclaimed(self)

    def _note(self) -> None:
        self._number = self._claimant.asks.ask(
            NoteProducer, self._noted, self._claimant.epoch, self.producer.id
        )

    def _noted(self, answer: Answer) -> None:
        if isinstance(answer, RowRead):
            self.row = answer.row
            self._claim()
        elif isinstance(answer, NotOurs):
            self._claimant.step_down("the row was given to somebody else")
        else:
            self._note()

    # --- the record -------------------------------------------------------------------------------

    def _record(self, producer_id: int) -> PartitionOpened:
        return PartitionOpened(self._claimant.epoch, self._claimant.attempts, producer_id)

    def _claim(self) -> None:
        """Append the claim; a repeat under the same sequence lands at most once."""
        self._again = self._claim
        self._number = self._claimant.asks.ask(
            Produce, self._claimed, self.producer, 0, [self._record(self.producer.id)]
        )

    def _claimed(self, answer: Answer) -> None:
        if isinstance(answer, Acked) and answer.offset is not None:
            assert self.row is not None
            self._claimant.claimed(self, self.row, answer.offset)
        elif isinstance(answer, Unknown):
            self._claimant.unclaimed(self)
        elif isinstance(answer, Fenced | Acked):
            self.start()
        else:
            self._again = self.start
            self._claimant.unclaimed(self)
