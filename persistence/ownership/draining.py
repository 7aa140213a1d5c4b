"""The way back to Kafka: the outbox's rows, in order, behind a claim, and then one transaction.

While it goes on, new events go on into the outbox, until the last rows are in Kafka. Then they
wait, for the few milliseconds of the transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from persistence.log import Record
from persistence.ownership.actions import (
    FinishDrain,
    Produce,
    RaiseVersion,
    ReadKafka,
    ReadRows,
)
from persistence.ownership.answers import Acked, Answer, KafkaRead, NotOurs, RowRead, RowsRead
from persistence.ownership.asks import Asks
from persistence.ownership.batches import Batches
from persistence.ownership.claiming import Claiming
from persistence.ownership.row import PartitionOpened, Producer, Row


class Drained(Protocol):
    """The owner that drains."""

    epoch: int
    owner: str
    version: int
    asks: Asks
    attempts: int
    batches: Batches

    def drained(self, draining: Draining, row: Row) -> None:
        """Events go to Kafka again."""
        ...

    def undrained(self) -> None:
        """It didn't work out; try again later."""
        ...

    def commit(self) -> None:
        """Append what waits."""
        ...

    def step_down(self, reason: str) -> None:
        """The row isn't ours any more."""
        ...


class Draining:
    """One try. Every step repeats safely: what is in Kafka already isn't appended again."""

    def __init__(self, owner: Drained) -> None:
        self._drained = owner
        self.epoch = owner.epoch
        self.owner = owner.owner
        self.asks = owner.asks
        self.attempts = owner.attempts
        self.holding = False
        """New events wait: the last rows are on their way."""
        self.producer = Producer(-1, 0)
        self.sequence = 0
        self.end = 0
        self.places = 0
        self._claiming = Claiming(self)
        self._last: dict[str, int] = {}
        self._number = 0
        self._finishing = False
        self._waits_for_quiet = False

    def start(self) -> None:
        """Claim the partition in Kafka."""
        self._claiming.start()

    def abandon(self) -> bool:
        """Stop, unless the last transaction is under way; return whether it's stopped."""
        if self._finishing:
            return False
        self._claiming.stop()
        self.asks.forget(self._number)
        return True

    def step_down(self, reason: str) -> None:
        """The row, or Kafka, names a newer owner."""
        self._drained.step_down(reason)

    # --- what is in Kafka already ---------------------------------------------------------------

    def unclaimed(self, claiming: Claiming) -> None:  # noqa: ARG002  (as a claimant is told)
        """Kafka is still away."""
        self._give_up()

    def _give_up(self) -> None:
        self._drained.attempts = self.attempts
        self.holding = False
        self.abandon()
        self._drained.undrained()

    def claimed(self, claiming: Claiming, row: Row, offset: int) -> None:
        """Nothing older than our claim lands any more: read what has landed since the switch."""
        self._drained.attempts = self.attempts
        self.producer, self.sequence, self.end = claiming.producer, 1, offset + 1
        self._number = self.asks.ask(ReadKafka, self._read, row.offset, offset)

    def _read(self, answer: Answer) -> None:
        if not isinstance(answer, KafkaRead):
            self._give_up()
            return
        self._last = {}
        self.places = 0
        for entry in answer.entries:
            if isinstance(entry, PartitionOpened):
                if entry.epoch > self.epoch:
                    self.step_down(f"a claim of epoch {entry.epoch} is in the log")
                    return
            else:
                self._note(entry)
        self._read_rows()

    def _note(self, record: Record) -> None:
        self._last[record.game] = max(record.seq, self._last.get(record.game, 0))

    # --- row by row -------------------------------------------------------------------------------

    def _read_rows(self) -> None:
        """Read back what Postgres holds: only that is sure to be history."""
        self._number = self.asks.ask(ReadRows, self._rows, self.places)

    def _rows(self, answer: Answer) -> None:
        if not isinstance(answer, RowsRead):
            self._read_rows()
        elif answer.rows:
            self._append(answer.rows)
        elif not self.holding:
            self.holding = True
            self._waits_for_quiet = True
            self._drained.commit()
        else:
            self._finish()

    def _append(self, rows: Sequence[Record]) -> None:
        absent = [row for row in rows if row.seq > self._last.get(row.game, 0)]

        def appended(answer: Answer) -> None:
            if isinstance(answer, Acked):
                self.end = (self.end if answer.offset is None else answer.offset) + len(absent)
                self.sequence += len(absent)
                self._appended(rows)
            else:  # it may land later: only a new claim, and reading again, makes it known
                self.holding = False
                self._claiming.start()
                self._drained.commit()

        if absent:
            self._number = self.asks.ask(Produce, appended, self.producer, self.sequence, absent)
        else:
            self._appended(rows)

    def _appended(self, rows: Sequence[Record]) -> None:
        self.places += len(rows)
        for row in rows:
            self._note(row)
        self._read_rows()

    # --- the last transaction -------------------------------------------------------------------

    def quiet(self) -> None:
        """The owner appends nothing more to the outbox until we are done: look for the rest."""
        if self._waits_for_quiet and self._drained.batches.flight is None:
            self._waits_for_quiet = False
            self._read_rows()

    def _finish(self) -> None:
        self._finishing = True
        self.asks.ask(FinishDrain, self._finished, self.epoch, self._drained.version, self.places)

    def _finished(self, answer: Answer) -> None:
        """Only when it's known to be committed do new events go to Kafka."""
        if isinstance(answer, RowRead):
            if answer.row.mode == "kafka":
                self._drained.drained(self, answer.row)
            else:
                self._drained.version = answer.row.version
                self._finish()
        elif isinstance(answer, NotOurs):
            self.step_down("fenced by the row")
        else:
            self.asks.ask(RaiseVersion, self._finished, self.epoch)
