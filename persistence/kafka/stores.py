"""All stores of a process whose log is in Kafka."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from persistence.database import Database
from persistence.kafka.brokers import Brokers
from persistence.kafka.log import KafkaLog
from persistence.kafka.records import Encoder
from persistence.kafka.registry import Registry
from persistence.postgres import SharedStores

_NEVER = 1 << 62
"""An offset that no log reaches."""


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

    async def first_offset(self, partition: int) -> int:
        """See `Brokers.first_offset`."""
        return await self._brokers.first_offset(partition)

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


async def history(
    dsn: str, kafka: KafkaSettings, partition: int, game: str
) -> list[tuple[int, bytes]]:
    """Return a game's (seq, event) as far back as Kafka has them, and what waits in the outbox.

    It reads the whole partition, and hides nothing that is there twice.

    Raises:
        LogError: If one of the stores doesn't answer.
    """
    stores = await KafkaStores.open(dsn, kafka)
    try:
        found: list[tuple[int, bytes]] = []
        first = await stores.first_offset(partition)
        async for batch in stores.log.read(partition, first, _NEVER):
            found += [(record.seq, record.value) for _, record in batch if record.game == game]
        return found
    finally:
        await stores.close()
