"""A claim of a partition of which a part is known from elsewhere: Kafka is read from there on."""

from uuid import uuid4

import pytest
from conformance_log import own, read, records
from kafka_owners import PARTITIONS, Owner

from persistence.installation import Installation, install


@pytest.fixture
async def owners(kafka, empty_dsn):
    """Two owners of a topic of its own; the second notes from where it reads."""
    topic = f"t{uuid4().hex[:12]}"
    install(empty_dsn, Installation("test", PARTITIONS, "kafka"))
    one = await Owner.begin(kafka.address, topic, empty_dsn)
    await one.brokers.ensure_topic(PARTITIONS, 1, 7 * 24 * 3_600_000, 1)
    other = await Owner.begin(kafka.address, topic, empty_dsn)
    other.starts, whole = [], other.brokers.read

    def told(partition, start, end):
        other.starts.append(start)
        return whole(partition, start, end)

    other.brokers.read = told
    yield one, other
    await one.close()
    await other.close()


async def test_what_is_known_isnt_read(owners):
    """The tail is what lies behind; the checkpoint stays, and what is before it can still be had."""
    one, other = owners
    [epoch] = await own(one.assign, one.log, "a", 1)
    await one.log.append(0, epoch, records("g", 1, 12))
    known = await one.log.append(0, epoch, records("g", 13, 8))
    claim = await other.log.claim(0, await other.assign(0, "b"), "b", known)
    assert await read(other.log, 0, known, claim.head) == records("g", 13, 8)
    assert other.starts == [known]
    assert claim.checkpoint == 0
    assert await read(other.log, 0, claim.checkpoint, known) == records("g", 1, 12)


async def test_what_lies_beyond_the_end_isnt_known(owners):
    """An offset that this log never reached is another log's: everything is read."""
    one, other = owners
    [epoch] = await own(one.assign, one.log, "a", 1)
    await one.log.append(0, epoch, records("g", 1, 5))
    claim = await other.log.claim(0, await other.assign(0, "b"), "b", 1_000_000)
    assert await read(other.log, 0, claim.checkpoint, claim.head) == records("g", 1, 5)
    assert other.starts == [0]
