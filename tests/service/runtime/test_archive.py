"""The archive's consumer on a real Kafka and a real Postgres, with games that were recorded."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from actors.behaviour import event_decoder
from gateway.consume import Consuming, archive, letters, redrive
from persistence.archive import Archive
from persistence.database import Database
from persistence.kafka.brokers import Brokers
from persistence.kafka.consumer import Consumer, ConsumerSettings
from persistence.kafka.records import Encoder
from persistence.kafka.stores import KafkaSettings
from persistence.log import Record
from persistence.postgres_snapshots import PostgresSnapshots
from persistence.snapshots import Snapshot
from runtime.archiving import Archiving
from runtime.behaviours import load
from runtime.history import pack_events
from runtime.whole_history import WholeHistory

HISTORIES = Path(__file__).parents[2] / "unit" / "actors" / "data" / "complete_v1.jsonl"
GAMES = {
    f"game-{place}": [
        msgspec.json.encode(event | {"game": f"game-{place}"})
        for event in json.loads(line)["events"]
    ]
    for place, line in enumerate(HISTORIES.read_text().splitlines())
}
ENDS = {
    game: next(at for at, event in enumerate(events, 1) if b'"type":"GameEnded"' in event)
    for game, events in GAMES.items()
}
SETTINGS = ConsumerSettings(session=6.0)


class Bench:
    """A topic of one partition, a database, and what a shard would write to both."""

    def __init__(self, kafka, dsn, producer):
        self.kafka, self.dsn, self.producer = kafka, dsn, producer
        self.database = Database(dsn)
        self.snapshots = PostgresSnapshots(self.database)

    async def log(self, game, seqs, **options):
        """Append events of a game; return the offset behind them."""
        for seq in seqs:
            offset = await self.append(Record(game, seq, GAMES[game][seq - 1]), **options)
        return offset + 1

    async def append(self, record, **options):
        key, value, headers = Encoder().encode(record, 1)
        done = await self.producer.send_and_wait(
            self.kafka.topic, value, key, 0, headers=list(headers), **options
        )
        return done.offset

    async def save(self, game, base, seq):
        """Store events `base + 1` to `seq` of a game."""
        chunk = pack_events(GAMES[game][base:seq])
        status = "ended" if seq >= ENDS[game] else "started"
        snapshot = Snapshot(game, 0, "chess", base, seq, b"", chunk, status, 0, None, ["a", "b"], 1)
        assert await self.snapshots.save([snapshot]) == {game: seq}

    async def checkpoint(self, offset):
        await self.database.query("UPDATE partitions SET checkpoint = %s WHERE id = 0", offset)

    def consuming(self, **options):
        return Consuming(dsn=self.dsn, kafka=self.kafka, settings=SETTINGS, **options)

    @asynccontextmanager
    async def consumer(self, patience_s):
        """An archive's consumer that gives the store so much time."""
        brokers = await Brokers.connect(self.kafka.servers, self.kafka.topic)
        work = Archiving(load(), WholeHistory(self.database, brokers, patience_s))
        yield Consumer(work, self.kafka, self.database, SETTINGS)
        await brokers.close()

    async def consume(self, *, from_beginning=False):
        """Archive all there is, with no patience for the store; return the consumer."""
        async with self.consumer(0.0) as consumer, asyncio.timeout(60):
            await consumer.run(from_beginning=from_beginning, until_end=True)
        return consumer

    async def archived(self):
        rows = await self.database.query("SELECT game, exports FROM archive")
        return {game: exports["pgn"] for game, exports in rows}


def pgn(game):
    behaviour = load()["chess"]
    decode = event_decoder(behaviour).decode
    return behaviour.export("pgn", [decode(event) for event in GAMES[game][: ENDS[game]]])


@asynccontextmanager
async def topic_of_one_partition(address, topic, dsn):
    brokers = await Brokers.connect(address, topic)
    await brokers.ensure_topic(1, 1, 7 * 24 * 3_600_000, 1)
    await brokers.close()
    producer = AIOKafkaProducer(bootstrap_servers=address)
    await producer.start()
    settings = KafkaSettings(servers=address, topic=topic, replication=1, min_insync=1)
    bench = Bench(settings, dsn, producer)
    try:
        yield bench
    finally:
        await producer.stop()
        await bench.database.close()


@pytest.fixture
async def bench(kafka, dsn):
    async with topic_of_one_partition(kafka.address, f"t{uuid4().hex[:12]}", dsn) as bench:
        yield bench


async def test_every_ended_game_is_archived_once(bench):
    """Stored or not, whole or in part; told twice or read again from the beginning, it stays as it is."""
    for place, game in enumerate(GAMES):
        last = len(GAMES[game])
        await bench.log(game, range(1, last + 1))
        stored = (last, 0, min(2, last))[place % 3]
        if stored:
            await bench.save(game, 0, stored)
    await bench.log("game-0", range(1, len(GAMES["game-0"]) + 1))
    first = await bench.consume()
    assert await bench.archived() == {game: pgn(game) for game in GAMES}
    assert (first.counts.settled, first.counts.duplicates) == (len(GAMES), 1)
    rows = await bench.database.query("SELECT *, xmin FROM archive ORDER BY game")
    again = await bench.consume(from_beginning=True)
    assert again.counts.duplicates == len(GAMES) + 1
    assert await bench.database.query("SELECT *, xmin FROM archive ORDER BY game") == rows


async def test_a_store_that_is_late_is_waited_for(bench):
    """The game is saved after its end was read: nothing is given up, and Kafka isn't read again."""
    await bench.log("game-1", [ENDS["game-1"]])  # Kafka has forgotten what was before
    async with bench.consumer(3600.0) as consumer, asyncio.timeout(60):
        running = asyncio.create_task(consumer.run(until_end=True))
        while not consumer.counts.waits:
            assert not running.done()
            await asyncio.sleep(0.02)
        await bench.save("game-1", 0, len(GAMES["game-1"]))
        await running
    assert await bench.archived() == {"game-1": pgn("game-1")}
    assert (consumer.counts.failures, consumer.counts.dead_letters) == (0, 0)


async def test_for_an_old_record_nobody_waits(bench):
    """What the store lacks of a game that ended long ago it won't get in a moment: Kafka is read at once."""
    await bench.log("game-1", range(1, ENDS["game-1"] + 1), timestamp_ms=1_750_000_000_000)
    async with bench.consumer(3600.0) as consumer, asyncio.timeout(60):
        await consumer.run(until_end=True)
    assert await bench.archived() == {"game-1": pgn("game-1")}
    assert consumer.counts.waits == 0


async def test_what_the_store_lacks_is_read_from_the_checkpoint_on(bench):
    """Below it nothing is needed, and behind the game's end nothing is looked at."""
    await bench.log("game-0", range(1, 11))
    await bench.save("game-0", 0, 10)
    await bench.checkpoint(await bench.log("game-2", range(1, 4)))
    await bench.log("game-0", range(11, ENDS["game-0"] + 1))
    await bench.consume()
    assert (await bench.archived())["game-0"] == pgn("game-0")


async def test_a_game_that_is_nowhere_is_a_dead_letter_until_it_is_mended(bench):
    """The reason says what's missing; driven again it's archived, and waits no more."""
    await bench.log("game-0", range(1, ENDS["game-0"]))
    await bench.checkpoint(await bench.log("game-0", [ENDS["game-0"]]) - 1)
    await bench.log("game-1", range(1, ENDS["game-1"] + 1))
    consumer = await bench.consume()
    assert consumer.counts.dead_letters == 1
    assert await bench.archived() == {"game-1": pgn("game-1")}
    (letter,) = await letters(bench.consuming(), "archive")
    assert (
        letter.reason
        == f"event 1 of game game-0, which has {ENDS['game-0']}, is neither stored nor in Kafka"
    )
    said = []
    assert await redrive(bench.consuming(), said.append) == (0, 1)
    assert len(said) == 1
    await bench.save("game-0", 0, ENDS["game-0"])
    assert await redrive(bench.consuming(), said.append) == (1, 0)
    assert await redrive(bench.consuming(), said.append) == (0, 0)
    assert await letters(bench.consuming(), "archive") == []
    assert await bench.archived() == {game: pgn(game) for game in ("game-0", "game-1")}


async def test_a_record_that_contradicts_its_history_is_a_dead_letter(bench):
    """The archive has nothing that the game's own history doesn't."""
    await bench.save("game-3", 0, len(GAMES["game-3"]))
    end = ENDS["game-3"]
    other = GAMES["game-3"][end - 1].replace(b"black", b"white")
    await bench.append(Record("game-3", end, other))
    await bench.consume()
    (letter,) = await letters(bench.consuming(), "archive")
    assert "is another one in its history" in letter.reason
    assert await bench.archived() == {}


async def test_it_reads_back_what_it_keeps(bench):
    """By the game's id, for who asks; None for a game that isn't there."""
    await bench.log("game-6", range(1, ENDS["game-6"] + 1))
    await archive(bench.consuming(until_end=True), lambda _: None)
    kept = await Archive(bench.database).get("game-6")
    assert (kept.game, kept.kind, kept.seq) == ("game-6", "chess", ENDS["game-6"])
    assert (
        kept.result == {"winner": "black", "termination": "timeout"}
        or kept.result["termination"] == "timeout"
    )
    assert kept.exports == {"pgn": pgn("game-6")}
    assert await Archive(bench.database).get("nobody") is None
