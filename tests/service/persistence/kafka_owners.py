"""Owners of partitions whose log is Kafka, for tests."""

import asyncio

from persistence.database import Database
from persistence.kafka.brokers import Brokers
from persistence.kafka.log import KafkaLog
from persistence.log import Record, Unsaved
from persistence.ownership.owner import Settings
from persistence.postgres_assignments import PostgresAssignments

PARTITIONS = 4
SETTINGS = Settings(doubt_ms=2_500, probe_ms=500)
PATIENT = Settings(doubt_ms=60_000, probe_ms=500)
"""An owner that stays in Kafka for as long as the breaker lets it."""


class Memory:
    """What an owner has in memory: `waiting` records, `unsaved` games."""

    def __init__(self) -> None:
        self.waiting: list[Record] = []
        self.unsaved: list[Unsaved] = []

    async def whole(self):
        """Nothing is to be replayed."""

    def surrender(self):
        waiting, self.waiting = self.waiting, []
        return waiting, self.unsaved


class Log(KafkaLog):
    """A log whose claims have an owner behind them at once."""

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.memories: dict[int, Memory] = {}
        self.epochs: dict[int, int] = {}

    async def claim(self, partition, epoch, owner, known=0):
        claim = await super().claim(partition, epoch, owner, known)
        self.epochs[partition] = epoch
        self.memories[partition] = Memory()
        self.attach(partition, epoch, self.memories[partition])
        return claim


class Owner:
    """One process's stores."""

    def __init__(self, brokers: Brokers, dsn: str, settings: Settings) -> None:
        self.dsn, self.brokers, self.database = dsn, brokers, Database(dsn)
        self.assignments = PostgresAssignments(self.database)
        self.log = Log(brokers, self.database, settings)

    @classmethod
    async def begin(
        cls, address: str, topic: str, dsn: str, settings: Settings = SETTINGS
    ) -> "Owner":
        return cls(await Brokers.connect(address, topic), dsn, settings)

    async def assign(self, partition: int, owner: str) -> int:
        current = (await self.assignments.read())[partition]
        return (await self.assignments.assign(partition, owner, current.epoch)).epoch

    async def mode(self, partition: int) -> str:
        [[mode]] = await self.database.query("SELECT mode FROM partitions WHERE id = %s", partition)
        return mode

    async def in_mode(self, mode: str) -> None:
        """Wait until partition 0's events go there."""
        async with asyncio.timeout(60):
            while await self.mode(0) != mode:
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        await self.log.close()
        await self.brokers.close()
        await self.database.close()


async def in_kafka(owner: Owner, partition: int = 0) -> list[tuple[str, int]]:
    """What a reader of Kafka alone finds: (game, seq), in order."""
    end = await owner.brokers.end_offset(partition)
    return [
        (entry.game, entry.seq)
        async for batch in owner.brokers.read(partition, 0, end)
        for _, entry in batch
        if isinstance(entry, Record)
    ]
