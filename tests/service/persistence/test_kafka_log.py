"""KafkaLog on a real broker and a real Postgres: the conformance suite, and what is Kafka's own."""

import asyncio
import os
import signal
from uuid import uuid4

import pytest
from conformance_log import LogConformance, own, read, records
from kafka_owners import PARTITIONS, Owner, in_kafka

from persistence.database import Database
from persistence.installation import Installation, install
from persistence.kafka import outbox, outcomes
from persistence.kafka.life import Truncated
from persistence.kafka.outbox import Foreign, Outbox
from persistence.local.kafka import LocalKafka
from persistence.log import Fenced, Unavailable, Unsaved
from persistence.ownership.actions import ReadRows
from persistence.postgres_snapshots import PostgresSnapshots
from persistence.snapshots import Snapshot


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    kafka = LocalKafka(tmp_path_factory.mktemp("kafka"))
    kafka.start()
    yield kafka
    kafka.stop()


@pytest.fixture
async def owners(kafka, empty_dsn):
    """Two owners of a topic of its own."""
    if not kafka.running:
        await asyncio.to_thread(kafka.start)
    topic = f"t{uuid4().hex[:12]}"
    dsn = empty_dsn
    install(dsn, Installation("test", PARTITIONS, "kafka"))
    one = await Owner.begin(kafka.address, topic, dsn)
    await one.brokers.ensure_topic(PARTITIONS, 1, 7 * 24 * 3_600_000, 1)
    other = await Owner.begin(kafka.address, topic, dsn)
    yield one, other
    await one.close()
    await other.close()


@pytest.fixture
async def logs(owners):
    one, other = owners
    return one.assign, one.log, other.log


@pytest.fixture
async def crashing(kafka, owners):
    one, _ = owners

    async def crash() -> None:
        kafka.kill()
        await asyncio.to_thread(kafka.start)

    return one.assign, one.log, crash


class TestConformance(LogConformance):
    """KafkaLog keeps what any log must keep."""


async def test_events_go_on_in_the_outbox_and_back(kafka, owners):
    """With Kafka dead appends are acknowledged from Postgres; afterwards all is in Kafka, in order."""
    one, _ = owners
    [epoch] = await own(one.assign, one.log, "a", 1)
    await one.log.append(0, epoch, records("g", 1, 3))
    kafka.kill()
    for seq in range(4, 40, 4):
        await one.log.append(0, epoch, records("g", seq, 4))
    assert await one.mode(0) == "outbox"
    await asyncio.to_thread(kafka.start)
    await one.in_mode("kafka")
    await one.log.append(0, epoch, records("g", 40, 2))
    assert await read(one.log, 0) == records("g", 1, 41)
    assert await in_kafka(one) == [("g", seq) for seq in range(1, 42)]


async def test_a_reader_amid_a_drain_finds_each_event_once(kafka, owners, monkeypatch):
    """In order, though what Kafka has of them already is in the outbox as well."""
    one, other = owners
    [epoch] = await own(one.assign, one.log, "a", 1)
    await one.log.append(0, epoch, records("g", 1, 3))
    kafka.kill()
    await one.log.append(0, epoch, records("g", 4, 8))
    halfway, go_on = asyncio.Event(), asyncio.Event()
    perform = one.log._outbox.perform

    async def held(partition, request):
        if isinstance(request, ReadRows) and request.place:
            halfway.set()
            await go_on.wait()
        return await perform(partition, request)

    monkeypatch.setattr(one.log._outbox, "perform", held)
    await asyncio.to_thread(kafka.start)
    async with asyncio.timeout(60):
        await halfway.wait()
    await one.log.append(0, epoch, records("g", 12, 4))
    assert await in_kafka(one) == [("g", seq) for seq in range(1, 12)]
    assert await read(other.log, 0) == records("g", 1, 15)
    go_on.set()
    await one.in_mode("kafka")
    assert await read(other.log, 0) == records("g", 1, 15)


async def test_an_owner_that_dies_in_the_outbox_is_followed_without_kafka(kafka, owners):
    """The next owner opens from Postgres alone, reads every event, and drains them later."""
    one, other = owners
    [epoch] = await own(one.assign, one.log, "a", 1)
    await one.log.append(0, epoch, records("g", 1, 2))
    kafka.kill()
    await one.log.append(0, epoch, records("g", 3, 2))
    await one.log.close()
    epoch = await other.assign(0, "b")
    claim = await other.log.claim(0, epoch, "b")
    assert await read(other.log, 0, claim.checkpoint, claim.head) == records("g", 3, 2)
    await other.log.append(0, epoch, records("g", 5, 2))
    await asyncio.to_thread(kafka.start)
    await other.in_mode("kafka")
    assert await in_kafka(other) == [("g", seq) for seq in range(1, 7)]


async def test_a_switch_takes_what_waits_and_every_unsaved_game(kafka, owners):
    """One transaction: rows, snapshots onto what the store holds; the append counts for both."""
    one, _ = owners
    [epoch] = await own(one.assign, one.log, "a", 1)
    await one.log.append(0, epoch, records("g", 1, 2))
    store = PostgresSnapshots(one.database)
    await store.save([snapshot("g", 0, 1)])
    kafka.kill()
    memory = one.log.memories[0]
    memory.waiting = records("g", 4, 1)
    memory.unsaved = [Unsaved("g", 4, lambda base: snapshot("g", base, 4))]
    await one.log.append(0, epoch, records("g", 3, 1))
    assert (await store.load(["g"]))["g"].seq == 4
    assert await store.history("g") == [b"0-1", b"1-4"]
    row, waiting = await Outbox(one.database).peek(0)
    assert (row.mode, waiting) == ("outbox", records("g", 3, 2))
    await asyncio.to_thread(kafka.start)
    await one.in_mode("kafka")
    assert await in_kafka(one) == [("g", seq) for seq in range(1, 5)]


async def test_a_first_snapshot_that_comes_during_the_switch_is_built_upon(owners):
    """A game that wasn't stored when the switch looked is saved as it is all the same."""
    one, _ = owners
    store = PostgresSnapshots(one.database)
    looked: list[int] = []

    def since(base: int) -> Snapshot:
        looked.append(base)
        return snapshot("g", base, 14)

    class Meanwhile:
        """A cursor; after its first look somebody else saves."""

        def __init__(self, cursor) -> None:
            self._cursor = cursor

        def __getattr__(self, name):
            return getattr(self._cursor, name)

        async def execute(self, query, *parameters):
            await self._cursor.execute(query, *parameters)
            if "FOR UPDATE" in str(query) and not looked:
                await store.save([snapshot("g", 0, 10)])

    database = Database(one.dsn)
    async with database.transaction() as cursor:
        await outbox._save(Meanwhile(cursor), [Unsaved("g", 14, since)])
    await database.close()
    assert looked == [0, 10]
    assert (await store.load(["g"]))["g"].seq == 14
    assert await store.history("g") == [b"0-10", b"10-14"]


async def test_a_claim_with_the_breaker_open_goes_on_in_kafka_once_it_is_back(kafka, owners):
    """What it was told before it was open is told again: it doesn't go to the outbox in vain."""
    one, other = owners
    [epoch] = await own(one.assign, one.log, "a", 1)
    await one.log.append(0, epoch, records("g", 1, 1))
    other.log._breaker.open = True
    epoch = await other.assign(0, "b")
    await other.log.claim(0, epoch, "b")
    await other.log.append(0, epoch, records("g", 2, 1))
    assert await other.mode(0) == "kafka"


async def test_close_ends_a_claim_that_waits(kafka, owners):
    """Nobody is left waiting for a broker that doesn't answer."""
    one, _ = owners
    os.kill(kafka.pid, signal.SIGSTOP)
    try:
        claim = asyncio.ensure_future(one.log.claim(0, await one.assign(0, "a"), "a"))
        async with asyncio.timeout(10):
            while not any(life._opened for life in one.log._opening.get(0, ())):
                await asyncio.sleep(0.01)
            await one.log.close()
            with pytest.raises(Unavailable):
                await claim
    finally:
        os.kill(kafka.pid, signal.SIGCONT)


def snapshot(game: str, base: int, seq: int) -> Snapshot:
    return Snapshot(
        game=game,
        partition=0,
        kind="tally",
        base=base,
        seq=seq,
        state=b"%d" % seq,
        chunk=b"%d-%d" % (base, seq),
        status="started",
        moves=seq,
        deadline=None,
        seats=[],
        taken_at=1,
    )


async def test_an_owner_that_slept_is_refused_by_the_broker(owners):
    """After a take-over the old owner's producer is fenced, though it never heard of it."""
    one, other = owners
    [epoch] = await own(one.assign, one.log, "a", 1)
    await one.log.append(0, epoch, records("g", 1, 1))
    life = one.log._lives[0]
    newer = await other.assign(0, "b")
    await other.log.claim(0, newer, "b")
    outcome = await one.brokers.produce(
        0, life.machine.producer, life.machine.sequence, records("g", 2, 1), epoch
    )
    assert isinstance(outcome, outcomes.Fenced)
    with pytest.raises(Fenced):
        await one.log.append(0, epoch, records("g", 2, 1))
    assert await in_kafka(other) == [("g", 1)]


async def test_a_data_set_of_the_other_log_is_refused(owners):
    """Events that Postgres's own log holds aren't forgotten by starting with Kafka."""
    one, _ = owners
    await one.database.query("UPDATE partitions SET head = 7 WHERE id = 0")
    with pytest.raises(Foreign):
        await one.log.claim(0, await one.assign(0, "a"), "a")


@pytest.mark.parametrize("turns", [1, 3])
async def test_a_claim_waits_until_kafka_answers(kafka, owners, turns):
    """With the broker stopped nothing is opened; of those that wait the newest epoch is, afterwards."""
    one, other = owners
    [epoch] = await own(one.assign, one.log, "a", 1)
    await one.log.append(0, epoch, records("g", 1, 2))
    claims: list[asyncio.Task] = []
    os.kill(kafka.pid, signal.SIGSTOP)
    try:
        for _ in range(turns):
            epoch = await other.assign(0, "b")
            claims.append(asyncio.create_task(other.log.claim(0, epoch, "b")))
            done, _ = await asyncio.wait(claims[-1:], timeout=4)
            assert not done
    finally:
        os.kill(kafka.pid, signal.SIGCONT)
    async with asyncio.timeout(30):
        *older, claim = await asyncio.gather(*claims, return_exceptions=True)
    assert all(isinstance(each, Fenced) for each in older)
    assert await read(other.log, 0, 0, claim.head) == records("g", 1, 2)


async def test_a_topic_that_lost_its_end_is_not_opened(owners):
    """A log that is shorter than what was read from it once isn't taken for a new one."""
    one, _ = owners
    await one.database.query("UPDATE partitions SET checkpoint = 1000 WHERE id = 0")
    with pytest.raises(Truncated):
        await one.log.claim(0, await one.assign(0, "a"), "a")
