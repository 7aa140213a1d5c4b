"""Performs an owner's requests in the simulated stores, as a shell would in the real ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from persistence.ownership import actions, answers
from simulation.postgres import FETCH, Snapshot

if TYPE_CHECKING:
    from simulation.hosted import Hosted


class Requests:
    """One method a request."""

    def __init__(self, hosted: Hosted) -> None:
        self.hosted, self.stores, self.world = hosted, hosted.stores, hosted.world

    def _postgres(self, request: Any, execute: Callable[[], Any]) -> None:
        self.hosted.shard.request(self.hosted, "postgres", request, execute)

    def _kafka(self, request: Any, execute: Callable[[], Any]) -> None:
        self.hosted.shard.request(self.hosted, "kafka", request, execute)

    # --- Postgres ---------------------------------------------------------------------------------

    def fenced(self, request: Any, apply: Callable[[Any], Any]) -> None:
        """A transaction whose condition is looked at under the row's lock."""
        row = self.stores.row

        def execute() -> Any:
            return apply(request) if row.holds(request) else answers.NotOurs(request.number)

        self._postgres(request, execute)

    def _write(self, request: Any, write: Callable[[Any], None]) -> None:
        row = self.stores.row

        def apply(request: Any) -> Any:
            write(request)
            return answers.RowRead(request.number, row.row())

        self.fenced(request, apply)

    def open_row(self, request: actions.OpenRow) -> None:
        """See the action."""
        self._write(request, self.stores.row.open)

    def read_row(self, request: actions.ReadRow) -> None:
        """See the action."""
        row = self.stores.row
        self._postgres(request, lambda: answers.RowRead(request.number, row.row()))

    def note_producer(self, request: actions.NoteProducer) -> None:
        """See the action."""
        self._write(request, self.stores.row.note)

    def raise_version(self, request: actions.RaiseVersion) -> None:
        """See the action."""
        self._write(request, self.stores.row.raise_version)

    def finish_drain(self, request: actions.FinishDrain) -> None:
        """See the action."""
        self._write(request, self.stores.row.finish)

    def switch_row(self, request: actions.SwitchRow) -> None:
        """See the action: snapshots of all that is in memory now, which the rows make durable."""
        snapshots = [
            Snapshot(name, game.saved, tuple(game.events[game.saved :]))
            for name, game in self.hosted.games.items()
            if len(game.events) > game.saved
        ]
        self._write(request, lambda request: self.stores.row.switch(request, snapshots))

    def append_log(self, request: actions.AppendLog) -> None:
        """See the action."""
        row = self.stores.row
        self.fenced(request, lambda r: answers.Appended(r.number, row.append(r)))

    def append_rows(self, request: actions.AppendRows) -> None:
        """See the action."""

        def apply(request: actions.AppendRows) -> Any:
            fits = self.stores.row.insert(request)
            return (answers.Appended if fits else answers.Conflicting)(request.number)

        self.fenced(request, apply)

    def read_rows(self, request: actions.ReadRows) -> None:
        """See the action."""
        row = self.stores.row
        self._postgres(
            request,
            lambda: answers.RowsRead(request.number, tuple(row.rows(request.place, FETCH))),
        )

    # --- Kafka ------------------------------------------------------------------------------------

    def init_producer(self, request: actions.InitProducer) -> None:
        """See the action."""
        kafka = self.stores.kafka
        self._kafka(request, lambda: answers.ProducerReady(request.number, kafka.init_producer()))

    def produce(self, request: actions.Produce) -> None:
        """See the action."""
        epoch = self.hosted.owner.epoch

        def execute() -> Any:
            weather = self.world.weather
            if not self.world.calm and self.world.random() < weather.refused:
                return answers.Refused(request.number)
            what, offset = self.stores.kafka.produce(
                request.producer, request.sequence, request.batch, epoch
            )
            if what == "acked":
                known = self.world.calm or self.world.random() >= weather.offsetless
                return answers.Acked(request.number, offset if known else None)
            return (answers.Fenced if what == "fenced" else answers.Refused)(request.number)

        self._kafka(request, execute)

    def read_kafka(self, request: actions.ReadKafka) -> None:
        """See the action."""
        entries = self.stores.kafka.entries
        self._kafka(
            request,
            lambda: answers.KafkaRead(request.number, tuple(entries[request.start : request.end])),
        )
