"""The brokers, as an owner of partitions needs them: claims, appends, reads of one topic."""

from __future__ import annotations

from asyncio import Future
from collections.abc import AsyncIterator, Sequence

from msgspec import Struct

from persistence.kafka.outcomes import Outcome
from persistence.kafka.records import Encoder, Entry
from persistence.log import LogError
from persistence.ownership.row import Producer


class WrongTopic(LogError):  # noqa: N818  (as the family's others)
    """The topic exists, and with another number of partitions: games would change theirs."""

    def __init__(self, topic: str, partitions: int, wanted: int) -> None:
        super().__init__(
            f"topic {topic} has {partitions} partitions, not {wanted}: a game's partition follows"
            " from their number, so it can't be changed"
        )
        self.topic = topic
        self.partitions = partitions
        self.wanted = wanted


class Forgotten(LogError):  # noqa: N818  (as the family's others)
    """The log begins behind the offset that was asked for: retention has taken what was there."""

    def __init__(self, partition: int, start: int, first: int) -> None:
        super().__init__(f"partition {partition} begins at {first}: {start} is gone")
        self.partition = partition
        self.start = start
        self.first = first


class BufferFull(LogError):  # noqa: N818  (as the family's others)
    """More bytes wait for their acknowledgement than may; nothing of this batch was taken."""

    def __init__(self, waiting: int, bound: int) -> None:
        super().__init__(f"{waiting} bytes wait for Kafka; {bound} may")
        self.waiting = waiting
        self.bound = bound


class Settings(Struct, frozen=True):
    """What may be tuned. Times are in seconds.

    Attributes:
        append_s: From `produce` to its outcome at most.
        claim_s: How long `init_producer` and the topic's setup try.
        read_s: How long a read, or `end_offset`, goes on without getting anything.
        connect_s: For a connection, the broker's name and version included.
        buffer_bytes: Of all batches without an outcome.
        batch_bytes: Of one batch; a bigger one is `Refused`. The topic is made to take it.
        in_flight: Requests under way to one broker; further batches wait and go together.
    """

    append_s: float = 1.5
    claim_s: float = 10.0
    read_s: float = 5.0
    connect_s: float = 1.0
    buffer_bytes: int = 64 << 20
    batch_bytes: int = 16 << 20
    in_flight: int = 2


class Brokers:
    """One topic on one cluster. Belongs to the running loop, asyncio's or uvloop.

    It finds leaders and coordinators, and connects again by itself, forever. What fails, fails
    within the times of `Settings`.
    """

    @classmethod
    async def connect(
        cls,
        servers: str,
        topic: str,
        settings: Settings | None = None,
        encoder: Encoder | None = None,
    ) -> Brokers:
        """Look for the cluster at `servers` (HOST:PORT, with commas between).

        That nobody answers is no error here: an owner whose partitions are in the outbox works
        without Kafka, and goes on trying. Call `close` when done.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Settle what waits as `Unknown`, end reads with `Unavailable`, free the connections."""
        raise NotImplementedError

    async def ensure_topic(
        self, partitions: int, replication: int, retention_ms: int, min_insync: int
    ) -> None:
        """Make the topic if it's missing; return when every partition has a leader.

        Of one that exists, only the number of partitions is looked at: the rest is the operator's.

        Raises:
            WrongTopic: If it has another number of partitions.
            Unavailable: If that's not possible within `claim_s`.
        """
        raise NotImplementedError

    async def init_producer(self, partition: int) -> Producer:
        """Return a new identity for the partition; its first batch fences all older ones.

        Raises:
            Unavailable: If the coordinator doesn't answer within `claim_s`.
        """
        raise NotImplementedError

    def produce(
        self,
        partition: int,
        producer: Producer,
        sequence: int,
        batch: Sequence[Entry],
        epoch: int,
    ) -> Future[Outcome]:
        """Append `batch` under (producer, sequence); the future never fails.

        At most one batch per partition may be under way. All that is produced in one turn of the
        loop for partitions of one broker goes in one request. `epoch` is the assignment's, for
        the records' headers. Call it again with the same batch after `Unknown`: it lands once.
        A call takes `append_s` at most; only a connection that breaks is told at once.

        Raises:
            BufferFull: If too much waits.
        """
        raise NotImplementedError

    def read(
        self, partition: int, start: int, end: int
    ) -> AsyncIterator[Sequence[tuple[int, Entry]]]:
        """Yield (offset, entry) from `start` to `end` (exclusive), in batches of a few hundred.

        It ends when all below `end` was read, and waits if the log hasn't got that far. Offsets
        may have holes; strangers' records are left out.

        Raises:
            Forgotten: If the log begins behind `start`.
            Unavailable: If nothing comes for `read_s`.
        """
        raise NotImplementedError

    async def end_offset(self, partition: int) -> int:
        """Return the offset that the next record gets, as far as all replicas in sync know.

        Raises:
            Unavailable: If the leader doesn't answer within `read_s`.
        """
        raise NotImplementedError
