"""A consumer whose work is easy to count, and records for it, for tests."""

import asyncio
import re
from contextlib import asynccontextmanager
from types import SimpleNamespace

from aiokafka import AIOKafkaProducer

from persistence.database import Database
from persistence.kafka.brokers import Brokers
from persistence.kafka.consumer import Consumer, ConsumerSettings
from persistence.kafka.consumer_plan import Place
from persistence.kafka.outcomes import Acked
from persistence.kafka.records import Encoded, Encoder
from persistence.kafka.stores import KafkaSettings
from persistence.log import Record, Unavailable

PARTITIONS = 3
SETTINGS = ConsumerSettings(session=6.0, commit_every=0.0, grace=5.0)
TABLE = "CREATE TABLE IF NOT EXISTS tally (game text, seq int4, value bytea)"
"""It takes the same event twice: only what is settled keeps it out."""


class Tally:
    """Notes each `Counted` event.

    It raises an error for values with `wrong` in them, and waits for games that are `away`. A
    transaction waits for `gate` before its end; `entered` tells that one does.
    """

    name = "tally"
    wanted = frozenset({b"gameshard.Counted.v1"})

    def __init__(self):
        self.wrong = rb"poison"
        self.away = set()
        self.stored = 0
        self.tried = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()

    async def prepare(self, item):
        self.tried.append((item.game, item.seq))
        if re.search(rb"prepare " + self.wrong, item.event.value):
            raise ValueError("this can't be prepared")
        if item.game in self.away:
            raise Unavailable("later")
        return item.event

    async def store(self, cursor, prepared):
        rows = [(event.game, event.seq, event.value) for event in prepared]
        await cursor.executemany("INSERT INTO tally VALUES (%s, %s, %s)", rows)
        self.entered.set()
        await self.gate.wait()
        if any(re.search(rb"store " + self.wrong, event.value) for event in prepared):
            raise ValueError("this can't be stored")
        self.stored += len(prepared)


def counted(game, seq, what="fine"):
    return Record(game, seq, b'{"type":"Counted","what":"%b"}' % what.encode())


def moved(game, seq):
    return Record(game, seq, b'{"type":"MovePlayed"}')


class Bench:
    """A topic, and a database beside it."""

    def __init__(self, address, topic, dsn, producer):
        self.kafka = KafkaSettings(servers=address, topic=topic, replication=1, min_insync=1)
        self.dsn, self.producer = dsn, producer
        self.database = Database(dsn)
        self.encode = Encoder().encode

    async def write(self, *records, partition=0):
        """Append records; return their places."""
        places = []
        for record in records:
            key, value, headers = self.encode(record, 1)
            places.append(await self.raw(key, value, list(headers), partition))
        return places

    async def raw(self, key, value, headers=(), partition=0):
        """Append a record of any kind; return its place."""
        done = await self.producer.send_and_wait(
            self.kafka.topic, value, key, partition, headers=list(headers)
        )
        return Place(self.kafka.topic, partition, done.offset)

    async def nothing(self):
        """Append a record without key, value and headers, which aiokafka's producer doesn't."""
        encoder = SimpleNamespace(encode=lambda *_: Encoded(None, None, []))
        brokers = await Brokers.connect(self.kafka.servers, self.kafka.topic, encoder=encoder)
        producer = await brokers.init_producer(0)
        assert isinstance(await brokers.produce(0, producer, 0, [None], 1), Acked)
        await brokers.close()

    def consumer(self, work=None, settings=SETTINGS):
        return Consumer(work or Tally(), self.kafka, self.database, settings)

    async def consume(self, work=None, *, from_beginning=False):
        """Consume all there is, in one go; return the consumer."""
        consumer = self.consumer(work)
        async with asyncio.timeout(60):
            await consumer.run(from_beginning=from_beginning, until_end=True)
        return consumer

    async def tally(self):
        """What the work did: (game, seq), in order."""
        rows = await self.database.query("SELECT game, seq FROM tally ORDER BY game, seq")
        return [tuple(row) for row in rows]

    async def until(self, condition):
        """Wait until `condition()`, which may be awaitable, holds."""
        async with asyncio.timeout(60):
            while True:
                held = condition()
                if asyncio.iscoroutine(held):
                    held = await held
                if held:
                    return
                await asyncio.sleep(0.02)


@asynccontextmanager
async def bench_on(address, topic, dsn):
    brokers = await Brokers.connect(address, topic)
    await brokers.ensure_topic(PARTITIONS, 1, 7 * 24 * 3_600_000, 1)
    await brokers.close()
    producer = AIOKafkaProducer(bootstrap_servers=address)
    await producer.start()
    bench = Bench(address, topic, dsn, producer)
    try:
        await bench.database.query(TABLE)
        yield bench
    finally:
        await producer.stop()
        await bench.database.close()
