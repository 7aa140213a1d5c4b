"""Kafka beside `gameshard run`: the operator's own, or one that is started here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from gateway.beside import Beside
from persistence.kafka.stores import KafkaSettings, prepare
from persistence.local.kafka import LocalKafka

_DAY_MS = 24 * 3_600_000


class Events(Beside):
    """Where the events go if not into Postgres."""

    def __init__(self, folder: Path, kafka: KafkaSettings, say: Callable[[str], None]) -> None:
        """Use the servers of `kafka`; if it names none, keep a broker of our own in `folder`."""
        self._kafka = kafka
        self._own = own = None if kafka.servers else LocalKafka(folder)
        # Every process knows where it was.
        super().__init__("Kafka", own, lambda: own and own.start(moving=False), say)

    def start(self) -> KafkaSettings:
        """Return where the brokers are, once they are there.

        Raises:
            ServiceError: If our own can't start.
        """
        if self._own is None:
            return self._kafka
        self._own.start()
        own = self._own.address
        return msgspec.structs.replace(self._kafka, servers=own, replication=1, min_insync=1)

    def prepare(self, kafka: KafkaSettings, partitions: int, days: float) -> None:
        """Make the topic, or see that it fits.

        Raises:
            LogError: If it has another number of partitions, or Kafka doesn't answer.
        """
        asyncio.run(prepare(kafka, partitions, int(days * _DAY_MS)))
