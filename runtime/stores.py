"""Which stores a cluster's processes open."""

from __future__ import annotations

from collections.abc import Iterable

from actors.behaviour import Behaviour
from actors.published.schema import published
from persistence.kafka import records
from persistence.kafka.stores import KafkaStores
from persistence.postgres import PostgresStores
from runtime.config import ClusterConfig

Stores = PostgresStores | KafkaStores


async def open_stores(config: ClusterConfig, writes: Iterable[Behaviour] = ()) -> Stores:
    """Open the log where the configuration says, and everything else in Postgres.

    Who writes events of the behaviours `writes` makes their schemas known first, if there's a
    registry.

    Raises:
        LogError: If the registry refuses one, or doesn't answer.
        Ambiguous: If two kinds of games have events of one name.
    """
    if config.kafka is None:
        return PostgresStores(config.dsn)
    events = [event for behaviour in writes for event in behaviour.events]
    schemas = published([*events, *records.events]) if events else ()
    return await KafkaStores.open(config.dsn, config.kafka, schemas)
