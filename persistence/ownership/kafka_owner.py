"""The owner of a partition whose log is Kafka, with Postgres's outbox while Kafka is away.

opening --claim--> kafka <--claim again-- fenced, or every 12 hours
   |                 |  ^
   |            switch  | drained
   |                 v  |
   +-------------> outbox, and beside it a drain that is tried every few seconds
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from persistence.log import Record
from persistence.ownership.actions import (
    AppendRows,
    Load,
    LoadOutbox,
    Produce,
    RaiseVersion,
    ReadKafka,
    SwitchRow,
)
from persistence.ownership.answers import (
    Acked,
    Answer,
    Appended,
    Conflicting,
    Fenced,
    KafkaRead,
    Loaded,
    NotOurs,
    RowRead,
    Unknown,
)
from persistence.ownership.batches import Batch
from persistence.ownership.claiming import Claiming
from persistence.ownership.draining import Draining
from persistence.ownership.owner import Owner
from persistence.ownership.row import PartitionOpened, Producer, Row

Phase = Literal["opening", "kafka", "claiming", "switching", "outbox"]


class KafkaOwner(Owner):
    """See the picture above. `phase` says where it is in it."""

    phase: Phase = "opening"
    version = 0
    end = 0
    """Kafka's offset after the newest record that we know of."""
    producer = Producer(-1, 0)
    sequence = 0
    attempts = 0
    places = 0
    """Rows in the outbox, as far as we know that they are in it."""
    away = False
    """Kafka's breaker is open: what is new goes to the outbox."""
    _doubted = False
    _fenced = False
    _unclaimed = False
    """The switch broke off a claim: where Kafka's log ends isn't known."""
    _loaded_once = False
    _number = 0
    _since = 0.0
    _claimed_at = 0.0
    _probed_at = 0.0
    _claiming: Claiming | None = None
    _draining: Draining | None = None

    # --- opening, and claiming again ----------------------------------------------------------

    def _opened(self, row: Row) -> None:
        self.version = row.version
        if row.mode == "outbox":
            self.end = row.offset
            self._load_outbox()
        else:
            self._claim()

    def _claim(self) -> None:
        if self._claiming is not None:
            self._claiming.stop()
        self._claiming = Claiming(self)
        self._claiming.start()

    def unclaimed(self, claiming: Claiming) -> None:
        """Kafka doesn't answer: Postgres alone doesn't know the tail, so go on trying."""
        claiming.again()

    def claimed(self, claiming: Claiming, row: Row, offset: int) -> None:
        """From `offset` on only we append. What is below it, whoever wrote it, is history."""
        self._claiming, self._fenced = None, False
        self.producer, self.sequence = claiming.producer, 1
        self._claimed_at = self.now
        if not self._loaded_once:
            self._load(row.checkpoint, offset)
        else:
            self._look_behind(row.checkpoint, offset)

    def _load(self, checkpoint: int, claim: int) -> None:
        def loaded(answer: Answer) -> None:
            if not isinstance(answer, Loaded):
                self._load(checkpoint, claim)
            elif answer.highest > self.epoch:
                self.step_down(f"a claim of epoch {answer.highest} is in the log")
            else:
                self._in_kafka(claim + 1)

        self.asks.ask(Load, loaded, checkpoint, claim)

    def _in_kafka(self, end: int) -> None:
        """Append to Kafka from now on, at `end`."""
        self.phase, self.end = "kafka", end
        if not self._loaded_once or not self.serving:
            self._loaded_once = True
            self.serve()
        elif self.batches.flight is not None:
            self.send(self.batches.flight)
        else:
            self.commit()

    def _look_behind(self, checkpoint: int, claim: int) -> None:
        """Find out what of ours, or of others, landed before our new claim."""

        def read(answer: Answer) -> None:
            if isinstance(answer, KafkaRead):
                self._saw(answer.entries, checkpoint, claim)
            else:
                self._look_behind(checkpoint, claim)

        self._number = self.asks.ask(ReadKafka, read, self.end, claim)

    def _saw(
        self, entries: Sequence[Record | PartitionOpened], checkpoint: int, claim: int
    ) -> None:
        records = [entry for entry in entries if isinstance(entry, Record)]
        highest = max((e.epoch for e in entries if isinstance(e, PartitionOpened)), default=0)
        flight = self.batches.flight
        if highest > self.epoch:
            self.step_down(f"a claim of epoch {highest} is in the log")
        elif not records:
            self._doubted = False  # its producer epoch is fenced: it can't land any more
            self._in_kafka(claim + 1)
        elif flight is not None and records == flight.records:
            self._in_kafka_after_doubt(claim + 1)
        else:  # not what we know of: begin anew from what is durable
            self.serving = False
            self.drop()
            self._load(checkpoint, claim)

    def _in_kafka_after_doubt(self, end: int) -> None:
        self.release_batch(self.batches.landed())
        self._in_kafka(end)

    # --- appending ------------------------------------------------------------------------------

    def ready(self) -> bool:
        """Whether a batch may be sent just now."""
        if self.phase == "kafka" and self.away and self.batches.open.records:
            self._switch()
            return False
        if self.phase == "outbox" and self._draining is not None and self._draining.holding:
            self._draining.quiet()
            return False
        return self.phase in ("kafka", "outbox")

    def send(self, batch: Batch) -> None:
        """Append the batch that is in flight: its first try."""
        self._doubted = False
        self._since = self.now
        self._send_again(batch)

    def _send_again(self, batch: Batch) -> None:
        if self.phase == "kafka":
            self._number = self.asks.ask(
                Produce, self._produced, self.producer, self.sequence, batch.records
            )
        else:
            self._number = self.asks.ask(
                AppendRows, self._inserted, self.epoch, self.version, self.places, batch.records
            )

    def _produced(self, answer: Answer) -> None:
        batch = self.batches.flight
        assert batch is not None
        if isinstance(answer, Acked):
            self.end = (self.end if answer.offset is None else answer.offset) + len(batch.records)
            self.sequence += len(batch.records)
            self.landed()
        elif isinstance(answer, Unknown):
            self._doubted = True
            if self.away:
                self._switch()
            else:
                self._send_again(batch)
        elif isinstance(answer, Fenced):
            self._fenced = True
            self._claim_again()
        elif self._doubted:  # the refusal of a retry doesn't prove that the first try didn't land
            self._claim_again()
        else:
            self.drop()

    def _claim_again(self) -> None:
        """What is in flight stays in doubt until the log behind the new claim tells."""
        self.phase = "claiming"
        self._claim()

    def _inserted(self, answer: Answer) -> None:
        batch = self.batches.flight
        assert batch is not None
        if isinstance(answer, Appended):
            self.places += len(batch.records)
            self.landed()
        elif isinstance(answer, Unknown):
            self._send_again(batch)
        elif isinstance(answer, Conflicting):
            self.step_down("conflict: another event has the place of one of ours")
        else:
            self.step_down("fenced by the row")

    # --- to the outbox --------------------------------------------------------------------------

    def _switch(self) -> None:
        """Write what is in doubt and what follows to the outbox, with the mode, in one go."""
        if self._claiming is not None:
            self._claiming.stop()
            self._claiming = None
        self.asks.forget(self._number)
        self._unclaimed = self.phase == "claiming"
        self.phase = "switching"
        rows = self.batches.follow()
        self.asks.ask(SwitchRow, self._switched, self.epoch, self.version, self.end, rows)

    def follow(self, records: Sequence[Record], output: Any) -> None:
        """Take more events into the switch that is being performed: it writes them, too."""
        assert self.batches.following is not None
        self.batches.following.add(records, output)

    def _switched(self, answer: Answer) -> None:
        if isinstance(answer, RowRead):
            self._take_version(answer.row)
            if answer.row.mode == "outbox":
                self._in_outbox_after_switch()
            else:
                self._in_kafka_again()
        elif isinstance(answer, NotOurs):
            self.step_down("fenced by the row")
        else:  # raising the version makes it known: what didn't land by then never will
            self.asks.ask(RaiseVersion, self._switched, self.epoch)

    def _take_version(self, row: Row) -> None:
        self.version = row.version

    def _in_outbox_after_switch(self) -> None:
        self.phase = "outbox"
        self.places = 0
        self._probed_at = self.now
        batches = self.batches
        for batch in (batches.flight, batches.following):
            if batch is not None:
                self.places += len(batch.records)
                self.release_batch(batch)
        batches.flight = batches.following = None
        self.commit()

    def _in_kafka_again(self) -> None:
        """The switch didn't happen: what was in doubt still is."""
        self.batches.unfollow()
        self.phase = "kafka"
        self._since = self.now
        if self._unclaimed:  # under the new identity a batch in doubt would land a second time
            self._claim_again()
        elif self.batches.flight is not None:
            self._doubted = True
            self._send_again(self.batches.flight)
        else:
            self.commit()

    # --- in the outbox ----------------------------------------------------------------------------

    def _load_outbox(self) -> None:
        self.asks.ask(LoadOutbox, self._outbox_loaded, self.epoch, self.version)

    def _outbox_loaded(self, answer: Answer) -> None:
        if isinstance(answer, Loaded):
            self.phase, self.places = "outbox", answer.places
            self._loaded_once = True
            self._probed_at = self.now
            self.serve()
        elif isinstance(answer, NotOurs):
            self.step_down("fenced by the row")
        else:
            self._load_outbox()

    def drained(self, draining: Draining, row: Row) -> None:
        """The outbox is empty, its rows are in Kafka, and the row says so."""
        self._draining = None
        self._take_version(row)
        self.producer, self.sequence = draining.producer, draining.sequence
        self._claimed_at = self.now
        self.places = 0
        self.phase, self.end = "kafka", draining.end
        self.commit()

    def undrained(self) -> None:
        """Kafka doesn't answer: the outbox goes on."""
        self._draining = None
        self._probed_at = self.now
        self.commit()

    # --- time, Kafka's breaker, the end ---------------------------------------------------------

    def breaker(self, away: bool) -> None:
        """Kafka was found to be away, or to be back."""
        self.away = away
        if away and self.phase == "kafka" and (self.batches.flight or self.batches.open.records):
            self._switch()

    def waiting(self, now: float) -> float:
        """Return for how long, in ms, the batch in flight has had no answer; 0: there's none."""
        return now - self._since if self.batches.flight else 0.0

    def tick(self, now: float) -> None:
        """Do what is due; see `Settings`."""
        super().tick(now)
        if self.closed or not self.serving:
            return
        if self.phase in ("kafka", "claiming") and not self._fenced:
            claiming = self.phase == "claiming"
            waiting = self.batches.flight or (claiming and self.batches.open.records)
            if waiting and now - self._since >= self.settings.doubt_ms:
                self._switch()
            elif (
                not waiting
                and not claiming  # two claims at a time would disturb each other
                and now - self._claimed_at >= self.settings.reclaim_ms
            ):
                self._claimed_at = now
                self._since = now
                self._claim_again()
        elif self.phase == "outbox" and self._draining is None and not self.sealed:
            self._probe(now)

    def _probe(self, now: float) -> None:
        if now - self._probed_at >= self.settings.probe_ms:
            self._draining = Draining(self)
            self._draining.start()

    def seal(self) -> None:
        """Take no more commands; a drain that isn't about to finish is left to the next owner."""
        if self._draining is not None and self._draining.abandon():
            self._draining = None
        super().seal()
