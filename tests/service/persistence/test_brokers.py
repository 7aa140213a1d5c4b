"""Claims, appends and reads on a real broker, on both event loops."""

import asyncio
import contextlib
import os
import signal
from itertools import count

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from persistence.kafka.brokers import Brokers, Forgotten, Settings, WrongTopic
from persistence.kafka.outcomes import Acked, Fenced, Refused, Unknown
from persistence.log import Record, Unavailable
from persistence.ownership.row import PartitionOpened, Producer

HOUR_MS = 3_600_000
SHORT = Settings(append_s=0.3, claim_s=0.3, read_s=0.3)
_topics = count(1)


@contextlib.asynccontextmanager
async def connected(kafka, topic=None, partitions=1, settings=None):
    """Brokers of a topic, a new one unless it's named."""
    brokers = await Brokers.connect(kafka.address, topic or f"b{next(_topics)}", settings)
    try:
        if topic is None:
            nodes = len(kafka.nodes)
            await brokers.ensure_topic(partitions, min(3, nodes), HOUR_MS, min(2, nodes))
        yield brokers
    finally:
        await brokers.close()


def events(game: str, start: int, n: int) -> list[Record]:
    return [
        Record(game, seq, b'{"type":"Moved","seq":%d}' % seq, b"k" * (seq % 2))
        for seq in range(start, start + n)
    ]


async def read(brokers, partition=0, start=0, end=None):
    """What stands in the log, without its offsets, which only grow."""
    end = await brokers.end_offset(partition) if end is None else end
    found = [each async for piece in brokers.read(partition, start, end) for each in piece]
    offsets = [offset for offset, _ in found]
    assert offsets == sorted(set(offsets))
    return [entry for _, entry in found]


async def landed(brokers, partition, producer, sequence, batch) -> Acked:
    """Append `batch` as an owner does: again, as the same batch, until it's known."""
    while isinstance(
        outcome := await brokers.produce(partition, producer, sequence, batch, 1), Unknown
    ):
        pass
    assert isinstance(outcome, Acked)
    return outcome


async def test_what_is_appended_is_read_back(kafka):
    """Claims and events of several partitions, appended in one turn, come back as they were."""
    async with connected(kafka, partitions=3) as brokers:
        producers = await asyncio.gather(*map(brokers.init_producer, range(3)))
        claims = [[PartitionOpened(1, 1, p.id, 5, 6)] for p in producers]
        told = [brokers.produce(p, producers[p], 0, claims[p], 1) for p in range(3)]
        assert await asyncio.gather(*told) == [Acked(0)] * 3
        batches = [events(f"g{p}", 1, 700 * p + 1) for p in range(3)]
        told = [brokers.produce(p, producers[p], 1, batches[p], 1) for p in range(3)]
        assert await asyncio.gather(*told) == [Acked(1)] * 3
        for p in range(3):
            assert await read(brokers, p) == claims[p] + batches[p]
        assert await read(brokers, 2, 10, 13) == batches[2][9:12]
        assert await read(brokers, 2, 13, 13) == []


async def test_a_batch_that_comes_again_lands_once(kafka):
    """The broker knows it by producer and sequence, and tells where it is."""
    async with connected(kafka) as brokers:
        producer = await brokers.init_producer(0)
        for sequence, batch in ((0, events("g", 1, 3)), (3, events("g", 4, 2))):
            for _ in range(3):
                assert await brokers.produce(0, producer, sequence, batch, 1) in (
                    Acked(sequence),
                    Acked(None),
                )
        assert await read(brokers) == events("g", 1, 5)


async def test_a_newer_claim_fences_the_older_one(kafka):
    """From its first batch on, neither a new batch of the older owner lands nor a repeated one."""
    async with connected(kafka) as brokers, connected(kafka, brokers._topic) as others:
        old = await brokers.init_producer(0)
        assert await brokers.produce(0, old, 0, events("g", 1, 2), 1) == Acked(0)
        new = await others.init_producer(0)
        assert (new.id, new.epoch) == (old.id, old.epoch + 1)
        claim = [PartitionOpened(2, 1, new.id)]
        assert await others.produce(0, new, 0, claim, 2) == Acked(2)
        assert await brokers.produce(0, old, 2, events("g", 3, 1), 1) == Fenced()
        assert await brokers.produce(0, old, 0, events("g", 1, 2), 1) == Fenced()
        assert await read(others) == [*events("g", 1, 2), *claim]


async def test_the_last_epoch_of_an_id_fences_all_of_it(kafka):
    """So an owner shuts out a producer id that the coordinator has forgotten."""
    async with connected(kafka) as brokers:
        producer = await brokers.init_producer(0)
        claim = [PartitionOpened(2, 1, producer.id)]
        assert await brokers.produce(0, Producer(producer.id, 32767), 0, claim, 2) == Acked(0)
        assert await brokers.produce(0, producer, 0, events("g", 1, 1), 1) == Fenced()


async def test_a_sequence_that_is_out_of_order_is_left_open(kafka):
    """It takes nothing, but who is told so goes to the outbox rather than dropping games."""
    async with connected(kafka, settings=SHORT) as brokers:
        producer = await brokers.init_producer(0)
        assert await landed(brokers, 0, producer, 0, events("g", 1, 1)) == Acked(0)
        told = await brokers.produce(0, producer, 7, events("g", 2, 1), 1)
        assert isinstance(told, Unknown)
        assert await read(brokers) == events("g", 1, 1)


async def test_what_is_too_large_for_the_topic_is_refused(kafka):
    """The broker's own bound is told as well as ours, and nothing of it lands."""
    async with (
        connected(kafka, settings=Settings(batch_bytes=2000)) as small,
        connected(kafka, small._topic) as brokers,
    ):
        producer = await brokers.init_producer(0)
        batch = [Record("g", 1, b"v" * 2500)]
        assert await brokers.produce(0, producer, 0, batch, 1) == Refused("MESSAGE_TOO_LARGE")
        assert isinstance(await small.produce(0, producer, 0, batch, 1), Refused)
        assert await brokers.end_offset(0) == 0


async def test_a_topic_with_other_partitions_is_refused(kafka):
    """A game's partition follows from their number; the same number is the same topic."""
    async with connected(kafka, partitions=2) as brokers:
        await brokers.ensure_topic(2, 1, HOUR_MS, 1)
        with pytest.raises(WrongTopic) as wrong:
            await brokers.ensure_topic(3, 1, HOUR_MS, 1)
        assert (wrong.value.partitions, wrong.value.wanted) == (2, 3)


async def test_a_topic_that_can_not_be_made_is_told(kafka):
    """With what the broker says of it."""
    brokers = await Brokers.connect(kafka.address, f"b{next(_topics)}", SHORT)
    with pytest.raises(Unavailable, match="eplication factor"):
        await brokers.ensure_topic(1, 7, HOUR_MS, 1)
    await brokers.close()


async def test_holes_and_strangers_are_passed_over(kafka):
    """A transaction's mark takes an offset, and so does a record of somebody else."""
    async with connected(kafka) as brokers:
        topic = brokers._topic
        producer = AIOKafkaProducer(bootstrap_servers=kafka.address, transactional_id=f"{topic}-x")
        await producer.start()
        async with producer.transaction():
            await producer.send_and_wait(topic, b"not one of ours", partition=0)
        await producer.stop()
        while await brokers.end_offset(0) < 2:  # the mark comes behind the commit's answer
            pass
        assert await read(brokers) == []
        own = await brokers.init_producer(0)
        assert await landed(brokers, 0, own, 0, events("g", 1, 1)) == Acked(2)
        assert await read(brokers) == events("g", 1, 1)
        assert await read(brokers, end=2) == []


async def test_what_retention_has_taken_is_told_by_name(kafka):
    """Never a shorter history in silence: the first offset that is left is in the error."""
    async with connected(kafka) as brokers:
        producer = await brokers.init_producer(0)
        await landed(brokers, 0, producer, 0, events("g", 1, 5))
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
        await admin.start()
        await admin.delete_records({TopicPartition(brokers._topic, 0): RecordsToDelete(3)})
        await admin.close()
        with pytest.raises(Forgotten) as forgotten:
            await read(brokers)
        assert (forgotten.value.start, forgotten.value.first) == (0, 3)
        assert await read(brokers, start=3) == events("g", 4, 2)


async def test_a_read_waits_for_what_comes(kafka):
    """It ends when it has got as far as it was to, and can be given up at any time."""
    async with connected(kafka) as brokers:
        producer = await brokers.init_producer(0)
        await landed(brokers, 0, producer, 0, events("g", 1, 1))
        reading = asyncio.create_task(read(brokers, end=3))
        given_up = brokers.read(0, 0, 9)
        assert [entry for _, entry in await anext(given_up)] == events("g", 1, 1)
        await given_up.aclose()
        cancelled = asyncio.create_task(read(brokers, start=1, end=9))
        await landed(brokers, 0, producer, 1, events("g", 2, 2))
        assert await reading == events("g", 1, 3)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert await read(brokers, start=1) == events("g", 2, 2)


async def test_a_read_that_gets_nothing_ends(kafka):
    """After `read_s`, by saying where it was."""
    async with connected(kafka, settings=SHORT) as brokers:
        with pytest.raises(Unavailable, match="nothing comes from 0 on"):
            await read(brokers, end=1)


async def test_closing_ends_everything(kafka):
    """A read that waits is told, and so is who asks later."""
    async with connected(kafka) as brokers:
        producer = await brokers.init_producer(0)
        reading = asyncio.create_task(read(brokers, end=1))
        while not brokers._nodes._client._conns.get((brokers._nodes.leader(0), "read")):
            await asyncio.sleep(0)
        await brokers.close()
        with pytest.raises(Unavailable):
            await reading
        assert await brokers.produce(0, producer, 0, events("g", 1, 1), 1) == Unknown("closed")
        with pytest.raises(Unavailable):
            await brokers.init_producer(0)


async def test_without_kafka_everything_is_told_in_time(kafka, unused_tcp_port):
    """Nobody answers: connecting isn't refused, and whatever is asked has an answer."""

    class Nowhere:
        address = f"127.0.0.1:{unused_tcp_port}"

    async with connected(Nowhere, "t", settings=SHORT) as brokers:
        told = await brokers.produce(0, Producer(1, 0), 0, events("g", 1, 1), 1)
        assert isinstance(told, Unknown)
        with pytest.raises(Unavailable):
            await brokers.init_producer(0)
        with pytest.raises(Unavailable):
            await brokers.end_offset(0)
        with pytest.raises(Unavailable):
            await read(brokers, end=1)
        with pytest.raises(Unavailable):
            await brokers.ensure_topic(1, 1, HOUR_MS, 1)


async def test_an_append_outlives_a_kill_of_the_broker(kafka):
    """What was under way is `Unknown`, and lands once when it's tried again; so does what had landed.

    Brokers that are connected meanwhile, while nobody answers, find the cluster when it's back.
    """
    async with connected(kafka) as brokers:
        producer = await brokers.init_producer(0)
        first, second = events("g", 1, 2), events("g", 3, 2)
        assert await landed(brokers, 0, producer, 0, first) == Acked(0)
        os.kill(kafka.pid, signal.SIGSTOP)
        told = brokers.produce(0, producer, 2, second, 1)
        while not any(lane.busy for lane in brokers._delivery._lanes.values()):
            await asyncio.sleep(0)
        kafka.kill()
        assert isinstance(await told, Unknown)
        assert isinstance(await brokers.produce(0, producer, 2, second, 1), Unknown)
        async with connected(kafka, brokers._topic) as others:
            kafka.start()  # (in this thread: the broker goes with the one that started it)
            newer = await others.init_producer(0)  # (it fences by its first batch, and sends none)
            assert newer == Producer(producer.id, producer.epoch + 1)
            assert await landed(brokers, 0, producer, 2, second) == Acked(2)
            assert await landed(brokers, 0, producer, 2, second) in (Acked(2), Acked(None))
            assert await landed(brokers, 0, producer, 0, first) in (Acked(0), Acked(None))
            assert await read(others) == first + second


async def test_three_brokers_go_on_without_the_leader(three_kafkas):
    """Its kill -9 under appends: they go on with the next leader, nothing is lost or twice."""
    async with connected(three_kafkas, partitions=2) as brokers:
        producers = [await brokers.init_producer(p) for p in range(2)]
        leader = brokers._nodes.leader(0)

        async def append(partition: int) -> None:
            for seq in range(200):
                batch = events("g", seq + 1, 1)
                await landed(brokers, partition, producers[partition], seq, batch)
                if (partition, seq) == (0, 50):
                    three_kafkas.nodes[leader - 1].kill()

        await asyncio.gather(append(0), append(1))
        assert brokers._nodes.leader(0) not in (leader, None)
        for partition in range(2):
            assert [record.seq for record in await read(brokers, partition)] == list(range(1, 201))
        newer = await brokers.init_producer(0)
        assert await landed(brokers, 0, newer, 0, [PartitionOpened(2, 1, newer.id)]) == Acked(200)
        told = await brokers.produce(0, producers[0], 200, events("g", 201, 1), 1)
        assert told == Fenced()
