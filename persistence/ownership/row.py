"""What the protocol reads and writes: the assignment row, producer identities, claim records."""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import Struct

Mode = Literal["log", "kafka", "outbox"]
"""Where a partition's new events go: Postgres's own log, Kafka, or Postgres while Kafka is away."""

LAST_PRODUCER_EPOCH = 32767
"""The highest epoch of a producer id (it's an int16): a batch under it fences all others."""


class Row(Struct, frozen=True):
    """A partition's row in Postgres, the authority: all that an owner needs to know of it.

    Attributes:
        epoch, owner: The assignment; the owner is one life of a shard's process.
        mode: Where new events go.
        version: Raised to make sure that a statement of unknown outcome can't land any more.
        head: Mode `log`: the offset that the next record gets.
        offset: Mode `outbox`: from where a drain reads Kafka. Everything below it is in the
            snapshots.
        checkpoint: From where a replay begins; everything below it is in the snapshots.
        producer_id: Kafka's id of the producer that claimed last; None if none did.
    """

    epoch: int
    owner: str
    mode: Mode
    version: int
    head: int = 0
    offset: int = 0
    checkpoint: int = 0
    producer_id: int | None = None


class Producer(NamedTuple):
    """An identity under which Kafka takes batches; a higher epoch of an id fences lower ones."""

    id: int
    epoch: int


class PartitionOpened(NamedTuple):
    """The claim record. `attempt` counts the claims of one epoch, from 1.

    Whoever performs the claim fills in the two moments (ms since the epoch): `at`, when it's made,
    and `alive_until`, until when the owner before is known to have lived. In between nobody owned
    the partition. A repeat may tell other moments: the first that lands counts.
    """

    epoch: int
    attempt: int
    producer_id: int
    at: int = 0
    alive_until: int = 0
