"""The brokers, as an owner of partitions needs them: claims, appends, reads of one topic."""

from __future__ import annotations

import time
from asyncio import Future
from collections.abc import AsyncIterator, Sequence
from functools import partial

from msgspec import Struct

from persistence.kafka import wire
from persistence.kafka.delivery import Bounds, BufferFull, Delivery
from persistence.kafka.nodes import Nodes
from persistence.kafka.outcomes import Outcome
from persistence.kafka.patience import patiently
from persistence.kafka.reading import Forgotten, Reader
from persistence.kafka.records import Encoder, Entry
from persistence.kafka.topic import Topic, WrongTopic
from persistence.log import Unavailable
from persistence.ownership.row import Producer

__all__ = ["Brokers", "BufferFull", "Forgotten", "Settings", "WrongTopic"]


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

    def __init__(self, nodes: Nodes, topic: str, settings: Settings, encoder: Encoder) -> None:
        """Use `connect`."""
        self._nodes = nodes
        self._topic = topic
        self._settings = settings
        self._encode = encoder.encode
        bounds = Bounds(
            settings.append_s, settings.buffer_bytes, settings.batch_bytes, settings.in_flight
        )
        self._delivery = Delivery(nodes, topic, bounds)

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
        settings = settings or Settings()
        nodes = Nodes(servers, topic, settings.connect_s)
        await nodes.refresh()
        return cls(nodes, topic, settings, encoder or Encoder())

    async def close(self) -> None:
        """Settle what waits as `Unknown`, end reads with `Unavailable`, free the connections."""
        await self._delivery.close()
        await self._nodes.close()

    async def ensure_topic(
        self, partitions: int, replication: int, retention_ms: int, min_insync: int
    ) -> None:
        """Make the topic if it's missing; return when every partition has a leader.

        Of one that exists, only the number of partitions is looked at: the rest is the operator's.

        Raises:
            WrongTopic: If it has another number of partitions.
            Unavailable: If that's not possible within `claim_s`.
        """
        configuration = {
            "retention.ms": str(retention_ms),
            "min.insync.replicas": str(min_insync),
            "max.message.bytes": str(self._settings.batch_bytes),
        }
        topic = Topic(self._topic, partitions, replication, configuration)
        await topic.ensure(self._nodes, self._settings.claim_s)

    async def init_producer(self, partition: int) -> Producer:
        """Return a new identity for the partition; its first batch fences all older ones.

        Raises:
            Unavailable: If the coordinator doesn't answer within `claim_s`.
        """
        name = f"{self._topic}-{partition}"
        return await patiently(self._settings.claim_s, name, partial(self._init_producer, name))

    async def _init_producer(self, name: str) -> Producer:
        nodes = self._nodes
        code, node = wire.coordinator(
            await nodes.ask(nodes.any_node(), wire.find_coordinator(name))
        )
        if not code:
            code, producer = wire.initialised(await nodes.ask(node, wire.init_producer(name)))
            if not code:
                return producer
        raise Unavailable(f"error {code}")

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
        encode = self._encode
        records = [encode(entry, epoch) for entry in batch]
        now_ms = int(1000 * time.time())
        data = wire.batch(producer, sequence, records, now_ms)
        return self._delivery.take(partition, data)

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
        reader = Reader(self._nodes, self._topic, partition, self._settings.read_s)
        return reader.read(start, end)

    async def first_offset(self, partition: int) -> int:
        """Return the lowest offset that retention has left.

        Raises:
            Unavailable: If the leader doesn't answer within `read_s`.
        """
        reader = Reader(self._nodes, self._topic, partition, self._settings.read_s)
        return await reader.offset(wire.EARLIEST)

    async def end_offset(self, partition: int) -> int:
        """Return the offset that the next record gets, as far as all replicas in sync know.

        Raises:
            Unavailable: If the leader doesn't answer within `read_s`.
        """
        reader = Reader(self._nodes, self._topic, partition, self._settings.read_s)
        return await reader.offset(wire.LATEST)
