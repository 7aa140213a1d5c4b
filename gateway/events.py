"""Kafka beside `gameshard run`: the operator's own, or one that is started here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from persistence.kafka.stores import KafkaSettings, prepare
from persistence.local.kafka import LocalKafka
from persistence.local.server import ServiceError

_DAY_MS = 24 * 3_600_000


class Events:
    """Where the events go if not into Postgres."""

    def __init__(self, folder: Path, kafka: KafkaSettings, say: Callable[[str], None]) -> None:
        """Use the servers of `kafka`; if it names none, keep a broker of our own in `folder`."""
        self._say = say
        self._kafka = kafka
        self._own = None if kafka.servers else LocalKafka(folder)
        self._trouble = ""

    @property
    def ours(self) -> bool:
        """Whether the broker is started here."""
        return self._own is not None

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

    @property
    def pid(self) -> int | None:
        """Of our own broker; None if there's none."""
        return self._own.pid if self._own is not None else None

    def tend(self) -> bool:
        """Start our own broker again if it ended; return whether it's a new process."""
        if self._own is None or self._own.running:
            return False
        if not self._trouble:
            self._say("Kafka again, which had ended")
        try:
            self._own.start(moving=False)  # every process knows where it was
        except (ServiceError, OSError) as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._say(f"Kafka later: {error}")
            return False
        self._trouble = ""
        return True

    def stop(self) -> None:
        """End our own broker."""
        if self._own is not None:
            self._say("stopping Kafka")
            self._own.stop()
