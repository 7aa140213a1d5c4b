"""All stores of a process whose log is in Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence

from msgspec import Struct

from persistence.database import Database
from persistence.kafka.brokers import Brokers
from persistence.kafka.life import Truncated
from persistence.kafka.log import KafkaLog
from persistence.kafka.records import Encoder
from persistence.kafka.registry import Registry
from persistence.log import Placed, Record
from persistence.postgres import SharedStores


class KafkaSettings(Struct, frozen=True, kw_only=True):
    """Where the events go.

    Attributes:
        servers: Of the cluster, some at least: HOST:PORT, with commas. Empty: not known yet.
        topic: Made at the first start, with as many partitions as the installation has.
        replication: How many brokers have each event...
        min_insync: ...and how many must, before it's acknowledged.
        registry: URL of a schema registry that speaks Confluent's protocol; None: plain JSON.
    """

    servers: str = ""
    topic: str = "game-events"
    replication: int = 3
    min_insync: int = 2
    registry: str | None = None


class KafkaStores(SharedStores):
    """The stores; the log and its outbox have a connection to Postgres of their own."""

    def __init__(self, dsn: str, brokers: Brokers) -> None:
        """See `open`."""
        super().__init__(dsn)
        self._brokers = brokers
        self._rows = Database(dsn)
        self.log = KafkaLog(brokers, self._rows)

    @classmethod
    async def open(
        cls, dsn: str, kafka: KafkaSettings, schemas: Iterable[tuple[str, int, bytes]] = ()
    ) -> KafkaStores:
        """Connect as needed: that neither Kafka nor Postgres answers is no error here.

        Whoever writes events gives its own `schemas`, each (event, version, text): in a rolling
        upgrade they aren't those of others. They are registered first, if there's a registry.

        Raises:
            IncompatibleSchema: If an event couldn't be read by those who read what was written
                before.
            Unavailable: If the registry doesn't answer.
        """
        ids: dict[str, int] = {}
        if kafka.registry is not None and (wanted := list(schemas)):
            ids = await Registry(kafka.registry).register(kafka.topic, wanted)
        encoder = Encoder(schemas=ids)
        return cls(dsn, await Brokers.connect(kafka.servers, kafka.topic, encoder=encoder))

    async def trim(self, before: int) -> int:  # noqa: ARG002  (as the other stores do)
        """Do nothing: Kafka keeps its events as long as the topic says."""
        return 0

    async def close(self) -> None:
        """Hang up."""
        await self.log.close()
        await self._brokers.close()
        await self._rows.close()
        await super().close()


async def prepare(kafka: KafkaSettings, partitions: int, retention_ms: int) -> None:
    """Make the topic, or see that it's as it must be.

    Raises:
        WrongTopic: If it has another number of partitions.
        Unavailable: If Kafka doesn't answer.
    """
    brokers = await Brokers.connect(kafka.servers, kafka.topic)
    try:
        await brokers.ensure_topic(partitions, kafka.replication, retention_ms, kafka.min_insync)
    finally:
        await brokers.close()


class KafkaReader:
    """Reads the topic for whoever looks into a system, as it is: nothing twice is hidden."""

    def __init__(self, brokers: Brokers) -> None:
        """Use `connect`."""
        self._brokers = brokers

    @classmethod
    async def connect(cls, kafka: KafkaSettings) -> KafkaReader:
        """Look for the cluster; that it doesn't answer is told by whoever reads then."""
        return cls(await Brokers.connect(kafka.servers, kafka.topic))

    async def first(self, partition: int) -> int:
        """Return the offset that the partition begins at.

        Raises:
            Unavailable: If Kafka doesn't answer.
        """
        return await self._brokers.first_offset(partition)

    async def read(self, partition: int, start: int) -> AsyncIterator[Sequence[Placed]]:
        """Yield all events from `start` to the end that the partition has now.

        Raises:
            Forgotten: If it begins behind `start`.
            Truncated: If it ends before.
            Unavailable: If Kafka doesn't answer.
        """
        end = await self._brokers.end_offset(partition)
        if end < start:
            raise Truncated(partition, start, end)
        async for batch in self._brokers.read(partition, start, end):
            yield [(o, entry) for o, entry in batch if isinstance(entry, Record)]

    async def close(self) -> None:
        """Hang up."""
        await self._brokers.close()
