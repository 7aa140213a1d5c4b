"""The owner of a partition whose log is Postgres: assignment and head of the log are one row."""

from __future__ import annotations

from persistence.ownership.actions import AppendLog, Load, RaiseVersion
from persistence.ownership.answers import Answer, Appended, Loaded, RowRead, Unknown
from persistence.ownership.batches import Batch
from persistence.ownership.owner import Owner
from persistence.ownership.row import Row


class PostgresOwner(Owner):
    """Opened by one transaction; every append looks at (epoch, version) under the row's lock."""

    version = 0
    head = 0

    def _opened(self, row: Row) -> None:
        self.version, self.head = row.version, row.head
        self._load(row.checkpoint)

    def _load(self, checkpoint: int) -> None:
        def loaded(answer: Answer) -> None:
            if isinstance(answer, Loaded):
                self.serve()
            else:
                self._load(checkpoint)

        self.asks.ask(Load, loaded, checkpoint, self.head)

    def send(self, batch: Batch) -> None:
        """Append at the head that we know."""
        self.asks.ask(AppendLog, self._appended, self.epoch, self.version, batch.records)

    def _appended(self, answer: Answer) -> None:
        if isinstance(answer, Appended):
            assert self.batches.flight is not None
            self.head = answer.first + len(self.batches.flight.records)
            self.landed()
        else:  # fenced, overtaken by a settlement of our own, or nobody knows
            self._settle()

    def _settle(self) -> None:
        self.asks.ask(RaiseVersion, self._settled, self.epoch)

    def _settled(self, answer: Answer) -> None:
        """Nothing sent before can land any more, so the head tells whether it had."""
        if isinstance(answer, RowRead):
            batch = self.batches.flight
            assert batch is not None
            self.version = answer.row.version
            if answer.row.head == self.head:
                self.send(batch)
            elif answer.row.head == self.head + len(batch.records):
                self.head = answer.row.head
                self.landed()
            else:
                self.step_down("somebody else wrote under our epoch")
        elif isinstance(answer, Unknown):
            self._settle()
        else:
            self.step_down("fenced")
