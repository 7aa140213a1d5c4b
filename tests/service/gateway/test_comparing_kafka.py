"""Games compared whose log is a real Kafka, with an outbox in Postgres."""

import asyncio
from uuid import uuid4

import msgspec
import psycopg
import pytest
from told_games import events_of, history_of, state_of

from gateway.check import stepped
from gateway.comparing import Comparison
from gateway.installed import Running
from gateway.told import tell
from persistence.kafka.stores import KafkaSettings, KafkaStores, prepare
from persistence.log import Record
from runtime.partitions import partition_of

GAME = "game-1"
HERE = partition_of(GAME, 4)
EVENTS = events_of(GAME, 9)
NOBODY = "http://127.0.0.1:1"
_DAY_MS = 86_400_000


@pytest.fixture
def system(dsn, kafka):
    """A game of 9 events: 4 are saved, Kafka has 1 to 7, the outbox 7 to 9 (amid a drain)."""
    settings = KafkaSettings(
        servers=kafka.address, topic=f"t{uuid4().hex[:8]}", replication=1, min_insync=1
    )

    async def fill() -> None:
        await prepare(settings, 4, _DAY_MS)
        stores = await KafkaStores.open(dsn, settings)
        assignment = await stores.assignments.assign(HERE, "me/1", 0)
        await stores.log.claim(HERE, assignment.epoch, "me/1")
        records = [Record(GAME, seq, EVENTS[seq - 1]) for seq in range(1, 8)]
        await stores.log.append(HERE, assignment.epoch, records)
        await stores.close()

    asyncio.run(fill())
    with psycopg.connect(dsn, autocommit=True) as sql:
        sql.execute("UPDATE installation SET log = 'kafka'")
        sql.execute(
            "INSERT INTO games (id, partition, kind, seq, status, moves, seats, taken_at, state,"
            " history) VALUES (%s, %s, 'nim', 4, 'started', 0, '[]', 0, %s, %s)",
            (GAME, HERE, state_of(GAME, 4), history_of(GAME, 4)),
        )
        sql.execute("UPDATE partitions SET mode = 'outbox', round = 2 WHERE id = %s", (HERE,))
        sql.execute(
            "INSERT INTO outbox VALUES (%s, 0, %s, 5, '', 'of a round that is over', 1)",
            (HERE, GAME),
        )
        for place, seq in enumerate((7, 8, 9)):
            sql.execute(
                "INSERT INTO outbox VALUES (%s, %s, %s, %s, '', %s, 2)",
                (HERE, place, GAME, seq, EVENTS[seq - 1]),
            )
        yield sql, Running(NOBODY, 1, dsn, "", "", settings)


def wrong(running: Running) -> list[str]:
    found = [each.what for each in stepped(Comparison(running).findings) if not each.well]
    return [what for what in found if not what.startswith("the gateways can't be read")]


def test_log_and_outbox_are_one_history_for_whoever_compares(system):
    """What is in both counts once; doctored rows and a hole are named; so is a Kafka that's away."""
    sql, running = system
    assert wrong(running) == []
    told = asyncio.run(tell(running, GAME))
    assert told.verdict.replay.events == EVENTS
    assert {name: [seq for seq, _ in has] for name, has in told.events.items()} == {
        "snapshots": [1, 2, 3, 4],
        "log": [1, 2, 3, 4, 5, 6, 7],
        "outbox": [7, 8, 9],
    }
    sql.execute("UPDATE outbox SET value = 'other' WHERE seq = 7")
    assert wrong(running) == [f"game {GAME}: other in the outbox than in the log: seq 7"]
    sql.execute("DELETE FROM outbox WHERE seq < 9")
    assert f"game {GAME}: neither in the history nor in the log: seq 8" in wrong(running)
    away = msgspec.structs.replace(
        running, kafka=KafkaSettings(servers="127.0.0.1:1", topic="none")
    )
    [what] = wrong(away)
    assert what.startswith("Kafka can't be read: ")
    told = asyncio.run(tell(away, GAME))
    assert told.away[-1].startswith("Kafka can't be read: ")
    assert [seq for seq, _ in told.events["snapshots"]] == [1, 2, 3, 4]
    assert "log" not in told.events
