"""What an owner wants: requests to the stores, answered once by number, and news for the shard.

Whoever performs a request answers it with one of `persistence.ownership.answers`. A request that
may have had an effect, but nobody knows, is answered by `Unknown`; so is one that surely had none
because its store is away. Pacing repeated requests is the performer's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from persistence.log import Record
from persistence.ownership.row import PartitionOpened, Producer


class Request(Struct, frozen=True):
    """Something to do in a store. `number` finds the way back for its answer."""

    number: int


# --- Postgres: every one is one transaction that holds the partition's row locked -------------


class OpenRow(Request, frozen=True):
    """If the row is (epoch, owner) and that epoch wasn't opened yet: opened; raise the version.

    Answers: RowRead (as it's now), NotOurs, Unknown.
    """

    epoch: int
    owner: str


class ReadRow(Request, frozen=True):
    """Answers: RowRead, Unknown."""


class NoteProducer(Request, frozen=True):
    """If the row's epoch is `epoch`, write the producer id. Answers: RowRead, NotOurs, Unknown."""

    epoch: int
    producer_id: int


class RaiseVersion(Request, frozen=True):
    """If the row's epoch is `epoch`, raise its version. Answers: RowRead, NotOurs, Unknown."""

    epoch: int


class AppendLog(Request, frozen=True):
    """If (epoch, version) hold: insert the records at the head.

    Answers: Appended, NotOurs, Unknown.
    """

    epoch: int
    version: int
    records: Sequence[Record]


class SwitchRow(Request, frozen=True):
    """If (epoch, version) hold: mode outbox, offset, checkpoint, snapshots, rows, next version.

    The snapshots are those of every game beyond its stored one, as of all events given to the
    owner when the request is performed first: the rows carry all of them that aren't durable.
    Answers: RowRead, NotOurs, Unknown.
    """

    epoch: int
    version: int
    offset: int
    rows: Sequence[Record]


class AppendRows(Request, frozen=True):
    """If (epoch, version) hold: insert rows `place`, `place + 1`, ... into the outbox.

    A row that is there with the same content is as good as inserted; one with other content under
    the same place, or the same (game, seq), is a conflict.
    Answers: Appended, NotOurs, Conflicting, Unknown.
    """

    epoch: int
    version: int
    place: int
    rows: Sequence[Record]


class ReadRows(Request, frozen=True):
    """Read the outbox's rows from `place` on, a bounded number. Answers: RowsRead, Unknown."""

    place: int


class FinishDrain(Request, frozen=True):
    """If (epoch, version) hold: delete the rows, mode kafka; raise the version.

    `places` rows are in Kafka; if the outbox holds more, the request is a defect.
    Answers: RowRead, NotOurs, Unknown.
    """

    epoch: int
    version: int
    places: int


# --- Kafka --------------------------------------------------------------------------------------


class InitProducer(Request, frozen=True):
    """InitProducerId for the partition's transactional id. Answers: ProducerReady, Unknown."""


class Produce(Request, frozen=True):
    """One batch, idempotent. Answers: Acked, Fenced, Refused, Unknown."""

    producer: Producer
    sequence: int
    batch: Sequence[Record | PartitionOpened]


class ReadKafka(Request, frozen=True):
    """Read the offsets `start` to `end` (exclusive). Answers: KafkaRead, Unknown."""

    start: int
    end: int


# --- state --------------------------------------------------------------------------------------


class Load(Request, frozen=True):
    """Load the games: snapshots, then the log's records from `start` to `end` (exclusive).

    What was in memory is forgotten. Answers: Loaded, Unknown.
    """

    start: int
    end: int


class LoadOutbox(Request, frozen=True):
    """Load the games from Postgres alone, snapshots, then the outbox, if (epoch, version) hold.

    Without that look, an owner that slept could load an outbox that a newer one has drained, and
    serve as if nothing had been in it.
    Answers: Loaded, NotOurs, Unknown.
    """

    epoch: int
    version: int


# --- news ---------------------------------------------------------------------------------------


class Serve(Struct, frozen=True):
    """The partition is open: commands are welcome."""


class Release(Struct, frozen=True):
    """These outputs may be said, in this order: what they tell is durable."""

    outputs: Sequence[Any]
    records: Sequence[Record] = ()


class Drop(Struct, frozen=True):
    """These records never happened: load their games anew. The outputs may not be said."""

    games: frozenset[str]
    outputs: Sequence[Any]


class Flushed(Struct, frozen=True):
    """Sealed, and all is durable: write snapshots and checkpoint, then call `release`."""


class StepDown(Struct, frozen=True):
    """Not the owner any more. Nothing that waits may be said; whoever asks looks for the next."""

    reason: str
    outputs: Sequence[Any]


Action = Request | Serve | Release | Drop | Flushed | StepDown
