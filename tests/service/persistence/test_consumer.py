"""The idempotent consumer on a real Kafka and a real Postgres."""

import asyncio
import signal
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition
from consumers import SETTINGS, Tally, bench_on, counted, moved

from persistence.database import Database
from persistence.kafka.consumed import Consumed
from persistence.kafka.consumer_plan import Item, Stretch
from persistence.kafka.consumer_work import Counts, Settler
from persistence.ownership.row import PartitionOpened

HERE = Path(__file__).parent


@pytest.fixture
async def bench(kafka, dsn):
    async with bench_on(kafka.address, f"t{uuid4().hex[:12]}", dsn) as bench:
        yield bench


async def committed(bench):
    """Return the group's offset of partition 0."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bench.kafka.servers)
    await admin.start()
    offsets = await admin.list_consumer_group_offsets("gameshard.tally")
    await admin.close()
    place = TopicPartition(bench.kafka.topic, 0)
    return offsets[place].offset if place in offsets else -1


async def test_work_is_done_for_each_wanted_event_once(bench):
    """A record that was written again, later or at once, does nothing; claims and others are passed over."""
    claim = PartitionOpened(1, 1, 7)
    events = [counted("g", 3), moved("g", 4), counted("g", 5), counted("h", 1)]
    await bench.write(claim, *events, *events[:1], *events)
    consumer = await bench.consume()
    assert await bench.tally() == [("g", 3), ("g", 5), ("h", 1)]
    assert (consumer.counts.settled, consumer.counts.duplicates) == (3, 4)
    assert consumer.lags()[0] == 0
    assert await committed(bench) == 10


async def test_everything_consumed_twice_changes_nothing(bench):
    """From the beginning again: the work, its order and the dead letters are as they were."""
    await bench.write(counted("g", 1), counted("g", 2, "store poison"), counted("g", 3))
    await bench.raw(b"g", b"{}")
    await bench.write(counted("h", 1), partition=2)
    first = await bench.consume()
    before = await bench.tally(), await first.settler.consumed.letters()
    again = await bench.consume(from_beginning=True)
    assert (await bench.tally(), await again.settler.consumed.letters()) == before
    assert again.counts.records == 5
    assert (again.counts.settled, again.counts.dead_letters) == (0, 0)
    assert sorted([item.place.offset async for item in again.letters.read()]) == [1, 3]


async def test_a_crash_between_transaction_and_commit_does_nothing_twice(bench, dsn):
    """kill -9 just there: the next consumer reads the same records again, and passes them over."""
    await bench.write(counted("g", 1), counted("g", 2), counted("h", 1))
    command = [sys.executable, HERE / "consumer_process.py"]
    process = await asyncio.create_subprocess_exec(
        *command, bench.kafka.servers, bench.kafka.topic, dsn
    )
    async with asyncio.timeout(60):
        assert await process.wait() == -signal.SIGKILL
    done = await bench.tally()
    assert done == [("g", 1), ("g", 2), ("h", 1)]
    assert await committed(bench) == -1
    await bench.write(counted("g", 4))
    consumer = await bench.consume()
    assert consumer.counts.duplicates == 3
    assert await bench.tally() == [*done[:2], ("g", 4), done[2]]


@pytest.mark.parametrize("where", ["prepare", "store"])
async def test_a_poison_record_is_copied_with_its_reason_and_passed(bench, where):
    """Those around it are done; the copy is as the record was, and says what was wrong with it."""
    work = Tally()
    events = [counted("g", 1), counted("h", 4, f"{where} poison"), counted("g", 2), counted("h", 5)]
    places = await bench.write(*events)
    consumer = await bench.consume(work)
    assert await bench.tally() == [("g", 1), ("g", 2), ("h", 5)]
    assert work.tried.count(("h", 4)) >= SETTINGS.attempts
    (letter,) = await consumer.settler.consumed.letters()
    reason = f"ValueError: this can't be {where}d"
    assert (letter.place, letter.game, letter.seq) == (places[1], "h", 4)
    assert letter.reason == reason
    (item,) = [item async for item in consumer.letters.read()]
    assert (item.place, item.event) == (places[1], events[1])
    headers = dict(item.record.headers)
    assert headers["ce_id"] == b"h:4"
    assert headers["dead_letter_reason"].decode() == reason
    assert headers["dead_letter_exception"] == b"ValueError"
    assert headers["dead_letter_consumer"] == b"tally"
    assert consumer.counts.dead_letters == 1


async def test_what_cannot_be_understood_is_a_dead_letter_at_once(bench):
    """Its key, value and headers stay as they were; one without any of them is copied, too."""
    await bench.nothing()
    await bench.raw(b"\xff", b"\x01", [("ce_type", b"gameshard.Counted.v1"), ("seq", b"1")])
    await bench.write(counted("g", 1))
    consumer = await bench.consume()
    assert await bench.tally() == [("g", 1)]
    items = [item async for item in consumer.letters.read()]
    assert [(item.record.key, item.record.value) for item in items] == [
        (None, b""),
        (b"\xff", b"\x01"),
    ]
    assert consumer.counts.failures == 0


async def test_a_dead_letter_is_driven_again_until_it_is_done_once(bench):
    """While it fails it stays with its newest reason; done, it's nobody's any more, read twice or not."""
    await bench.write(counted("g", 1, "prepare poison"), counted("g", 2))
    consumer = await bench.consume()
    (item,) = [item async for item in consumer.letters.read()]
    consumer._work.wrong = rb"nothing"
    settler = consumer.settler
    assert await settler.redrive(item)
    assert not await settler.redrive(item)
    assert await bench.tally() == [("g", 1), ("g", 2)]
    assert await settler.consumed.letters() == []


async def test_a_dead_letter_that_fails_again_stays(bench):
    """It waits on, and so does one of the same game behind it, which isn't passed over."""
    await bench.write(counted("g", 1, "store poison"), counted("g", 2, "prepare poison"))
    consumer = await bench.consume()
    first, second = [item async for item in consumer.letters.read()]
    with pytest.raises(ValueError, match="stored"):
        await consumer.settler.redrive(first)
    consumer._work.wrong = rb"nothing"
    assert await consumer.settler.redrive(second)
    (letter,) = await consumer.settler.consumed.letters()
    assert (letter.place, letter.reason) == (first.place, "ValueError: this can't be stored")
    assert await consumer.settler.redrive(first)
    assert await bench.tally() == [("g", 1), ("g", 2)]


async def test_a_copy_of_a_record_that_was_settled_after_all_is_nobodys(bench):
    """A consumer that crashed between the copy and its note leaves a stray; it isn't driven again."""
    await bench.write(counted("g", 1))
    consumer = await bench.consume()
    (place,) = await bench.write(counted("g", 1))
    stray = Item(place, None, counted("g", 1))
    assert not await consumer.settler.redrive(stray)
    assert await bench.tally() == [("g", 1)]


async def test_a_store_that_is_away_or_unready_is_waited_for(bench):
    """No record is to blame: none is a dead letter, and all are done when the store is there."""
    work = Tally()
    consumer = bench.consumer(work)
    running = asyncio.create_task(consumer.run())
    await bench.write(counted("g", 1))
    await bench.until(lambda: work.stored == 1)
    await bench.database.query("ALTER TABLE tally RENAME TO elsewhere")
    await bench.write(counted("g", 2))
    await bench.until(lambda: consumer.counts.waits >= SETTINGS.attempts + 2)
    assert 0 in consumer.troubles()
    await bench.database.query("ALTER TABLE elsewhere RENAME TO tally")
    await bench.until(lambda: work.stored == 2)
    consumer.stop()
    await running
    assert (consumer.counts.failures, consumer.counts.dead_letters) == (0, 0)
    assert await bench.tally() == [("g", 1), ("g", 2)]


async def test_a_partition_that_waits_keeps_no_other_back(bench):
    """Its offset stays, and theirs goes on."""
    work = Tally()
    work.away = {"slow"}
    consumer = bench.consumer(work)
    running = asyncio.create_task(consumer.run())
    await bench.write(counted("slow", 1), partition=0)
    await bench.write(counted("g", 1), partition=1)
    await bench.until(lambda: work.stored == 1)
    await bench.until(lambda: (consumer.lags().get(0), consumer.lags().get(1)) == (1, 0))
    assert await bench.tally() == [("g", 1)]
    work.away = set()
    await bench.until(lambda: consumer.lags().get(0) == 0)
    consumer.stop()
    await running
    assert await bench.tally() == [("g", 1), ("slow", 1)]


async def test_a_stop_finishes_the_transaction_under_way(bench):
    """What was begun is done and committed, and nothing else is begun."""
    work = Tally()
    work.gate.clear()
    consumer = bench.consumer(work)
    running = asyncio.create_task(consumer.run())
    await bench.write(counted("g", 1))
    await asyncio.wait_for(work.entered.wait(), 60)
    await bench.write(counted("g", 2))
    consumer.stop()
    work.gate.set()
    await asyncio.wait_for(running, 60)
    assert await bench.tally() == [("g", 1)]
    assert await committed(bench) == 1


async def test_a_rebalance_amid_work_does_nothing_twice(bench):
    """A second consumer joins while a transaction is open: it's finished first; both then share the rest."""
    first_work, second_work = Tally(), Tally()
    first_work.gate.clear()
    first, second = bench.consumer(first_work), bench.consumer(second_work)
    running = [asyncio.create_task(first.run())]
    expected = []
    for partition in range(3):
        events = [counted(f"g{partition}", seq) for seq in range(1, 200)]
        expected += [(event.game, event.seq) for event in events]
        await bench.write(*events, partition=partition)
    await asyncio.wait_for(first_work.entered.wait(), 60)
    running.append(asyncio.create_task(second.run()))
    await bench.until(lambda: first._client._subscription.reassignment_in_progress)
    assert first.counts.rebalances == 0
    first_work.gate.set()
    await bench.until(lambda: first_work.stored + second_work.stored >= len(expected))
    assert second_work.stored > 0
    assert first.counts.rebalances == 1
    first.stop()
    second.stop()
    await asyncio.gather(*running)
    assert await bench.tally() == sorted(expected)


async def test_two_that_hold_the_same_events_do_them_once(bench):
    """The second transaction waits for the first, and sees what it did."""
    await bench.write(counted("g", 1), counted("g", 2))
    slow, fast = Tally(), Tally()
    slow.gate.clear()
    one = bench.consumer(slow)
    running = asyncio.create_task(one.run())
    await asyncio.wait_for(slow.entered.wait(), 60)
    other_database = Database(bench.dsn)
    zombie = Settler(fast, other_database, one.letters, Counts(), SETTINGS.events)
    (stretch,) = one._stretches.values()
    copy = Stretch(stretch.head(10), 2, 3)
    advancing = asyncio.create_task(zombie.advance(copy, 0.0))
    await bench.until(lambda: len(fast.tried) == 2)
    slow.gate.set()
    await advancing
    assert (fast.stored, copy.done) == (0, True)
    await bench.until(lambda: slow.stored == 2)
    one.stop()
    await running
    await other_database.close()
    assert await bench.tally() == [("g", 1), ("g", 2)]


async def test_what_was_settled_long_ago_is_forgotten(bench):
    """And nothing else."""
    await bench.write(counted("g", 1))
    await bench.consume()
    consumed = Consumed(bench.database, "tally")
    assert await consumed.forget(0) == 0
    assert await consumed.forget(1 << 60) == 1
    assert await bench.database.query("SELECT count(*) FROM consumed") == [(0,)]
