"""Which stores a cluster's processes open."""

from __future__ import annotations

from persistence.kafka.stores import KafkaStores
from persistence.postgres import PostgresStores
from runtime.config import ClusterConfig

Stores = PostgresStores | KafkaStores


async def open_stores(config: ClusterConfig) -> Stores:
    """Open the log where the configuration says, and everything else in Postgres."""
    if config.kafka is None:
        return PostgresStores(config.dsn)
    return await KafkaStores.open(config.dsn, config.kafka)
