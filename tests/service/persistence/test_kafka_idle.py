"""A partition in which nothing happens, while Kafka forgets what is old."""

import asyncio
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from conformance_log import records
from kafka_owners import PARTITIONS, Owner

from persistence.installation import Installation, install
from persistence.log import Claim
from persistence.ownership.owner import Settings

OFTEN = Settings(doubt_ms=60_000, reclaim_ms=200)


@pytest.fixture
async def owner(kafka, empty_dsn):
    """One that claims again and again."""
    install(empty_dsn, Installation("test", PARTITIONS, "kafka"))
    topic = f"t{uuid4().hex[:12]}"
    owner = await Owner.begin(kafka.address, topic, empty_dsn, OFTEN)
    owner.topic = topic
    await owner.brokers.ensure_topic(PARTITIONS, 1, 7 * 24 * 3_600_000, 1)
    yield owner
    await owner.close()


async def claimed(owner: Owner) -> Claim:
    epoch = await owner.assign(0, "me/1")
    return await owner.log.claim(0, epoch, "me/1")


async def checkpoint(owner: Owner) -> int:
    [[found]] = await owner.database.query("SELECT checkpoint FROM partitions WHERE id = 0")
    return found


async def claims_behind(owner: Owner, offset: int) -> None:
    """Wait until the owner has claimed again, twice at least."""
    async with asyncio.timeout(60):
        while await owner.brokers.end_offset(0) < offset + 2:
            await asyncio.sleep(0.05)


async def test_the_checkpoint_of_an_idle_partition_follows_its_claims(kafka, owner):
    """When Kafka has forgotten all but the last claim, the partition still opens."""
    claim = await claimed(owner)
    first = await owner.log.append(0, claim.epoch, records("g", 1, 2))
    await owner.log.checkpoint(0, claim.epoch, first + 2)
    await claims_behind(owner, first + 2)
    async with asyncio.timeout(60):
        while await checkpoint(owner) < first + 4:
            await asyncio.sleep(0.05)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
    await admin.start()
    try:
        before = RecordsToDelete(before_offset=await checkpoint(owner))
        await admin.delete_records({TopicPartition(owner.topic, 0): before})
    finally:
        await admin.close()
    assert await owner.brokers.first_offset(0) > first + 2
    again = await claimed(owner)
    assert again.head > again.checkpoint >= first + 4


async def test_an_event_that_is_not_saved_keeps_the_checkpoint(owner):
    """However often it claims: what no snapshot holds must be read again."""
    claim = await claimed(owner)
    first = await owner.log.append(0, claim.epoch, records("g", 1, 2))
    await owner.log.checkpoint(0, claim.epoch, first + 1)
    await claims_behind(owner, first + 2)
    assert await checkpoint(owner) == first + 1
