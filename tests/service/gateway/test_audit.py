"""`gameshard doctor` and `gameshard replay` over a real Postgres."""

import asyncio
import time

import msgspec
import psycopg
import pytest

from gateway.audit import audit
from gateway.installed import Running
from gateway.told import tell
from runtime.cell import Rest
from runtime.history import pack_events
from runtime.partitions import partition_of

GAME = "g1"
HERE = partition_of(GAME, 4)
ELSEWHERE = (HERE + 1) % 4


def event(seq: int) -> bytes:
    """An event of a kind of game that isn't installed."""
    return b'{"type":"Added","kind":"tally","seq":%d}' % seq


@pytest.fixture
def store(dsn):
    """A database with a game of 6 events: 4 are saved, the log has the last 3."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        save(connection, GAME, 4)
        for offset, seq in enumerate((4, 5, 6)):
            log(connection, offset, seq)
        connection.execute("UPDATE partitions SET head = 3 WHERE id = %s", (HERE,))
        yield connection


def save(connection, game: str, seq: int) -> None:
    chunk = pack_events([event(each) for each in range(1, seq + 1)])
    state = msgspec.msgpack.encode(Rest(2, "tally", seq, 0, b"", b""))
    connection.execute(
        "INSERT INTO games (id, partition, kind, seq, status, moves, seats, taken_at, state,"
        " history) VALUES (%s, %s, 'tally', %s, 'started', 0, '[]', 0, %s, %s)",
        (game, partition_of(game, 4), seq, state, len(chunk).to_bytes(4, "big") + chunk),
    )


def log(connection, offset: int, seq: int, partition: int = HERE, age_s: float = 0.0) -> None:
    at = int((time.time() - age_s) * 1000)
    connection.execute(
        "INSERT INTO events VALUES (%s, %s, %s, %s, '', %s, %s)",
        (partition, offset, GAME, seq, event(seq), at),
    )


def replay_game(dsn):
    """The game as `gameshard replay` has it, of a system whose gateways are away."""
    running = Running("http://127.0.0.1:1", 1, dsn, "", "")
    told = asyncio.run(tell(running, GAME))
    assert [each.split("'")[0] for each in told.away] == ["the gateways can"]
    return told.verdict


def sick(dsn) -> list[str]:
    return [finding.what for finding in audit(dsn) if not finding.well]


def test_a_sound_store_has_no_findings(store, dsn):
    """Saved and unsaved events together are a whole game, for both commands."""
    assert sick(dsn) == []
    found = replay_game(dsn)
    assert found.differs == []
    assert found.replay.events == [event(seq) for seq in range(1, 7)]


def test_a_game_is_read_in_its_own_partition(store, dsn):
    """Events that stand in another partition under its name aren't its events."""
    log(store, 0, 7, ELSEWHERE)
    assert replay_game(dsn).replay.events[-1] == event(6)


@pytest.mark.parametrize("seqs", [(4, 5, 5), (4, 6, 7), (5, 6, 6), (6, 7, 8)])
def test_a_doubled_or_missing_event_in_the_tail_is_found(store, dsn, seqs):
    """The doctor names the game, whichever of its unsaved events isn't there once."""
    for offset, seq in enumerate(seqs):
        store.execute('UPDATE events SET seq = %s WHERE "offset" = %s', (seq, offset))
    assert sick(dsn) == [f"games whose events aren't in the log once each: {GAME}"]
    assert replay_game(dsn).differs != []


def test_an_event_that_is_in_no_snapshot_and_not_in_the_log_is_a_hole(store, dsn):
    """The log must have every offset from the checkpoint to the head."""
    store.execute('DELETE FROM events WHERE "offset" = 0')
    assert sick(dsn) == [f"partitions with holes in the log: {HERE}"]
    store.execute("UPDATE partitions SET checkpoint = 1 WHERE id = %s", (HERE,))
    assert sick(dsn) == []
    store.execute("UPDATE partitions SET checkpoint = 4 WHERE id = %s", (HERE,))
    assert sick(dsn) == [f"partition {HERE}: checkpoint 4 beyond head 3"]


def test_a_game_that_keeps_its_partition_from_a_checkpoint_is_named(store, dsn):
    """What can't be saved holds the log: the operator hears of the game, and since when."""
    store.execute("UPDATE partitions SET checkpoint = 1 WHERE id = %s", (HERE,))
    store.execute('UPDATE events SET at = at - 1000 * 7200 WHERE "offset" = 0')
    assert sick(dsn) == []
    store.execute('UPDATE events SET at = at - 1000 * 7200 WHERE "offset" = 1')
    [found] = sick(dsn)
    assert found.startswith(
        f"partition {HERE}: a take-over must read 2 events, 2.0 h of them, because game {GAME}"
        " isn't saved from seq 5 on."
    )


def test_a_damaged_history_is_named(store, dsn):
    """The game and what's wrong with it; the others are looked at all the same."""
    save(store, "whole", 3)
    store.execute("UPDATE games SET history = substr(history, 1, 20) WHERE id = %s", (GAME,))
    found = sick(dsn)
    assert found[0] == "of the 2 newest stored games, 1 have a wrong history"
    assert found[1].startswith(f"game {GAME}: the stored history can't be read")


def test_a_log_elsewhere_is_not_taken_for_holes(store, dsn):
    """Where the events are in Kafka, Postgres has none of them, and knows no head."""
    store.execute("UPDATE installation SET log = 'kafka'")
    store.execute("UPDATE partitions SET head = 0, checkpoint = 7")
    store.execute("DELETE FROM events")
    assert sick(dsn) == []


def test_a_postgres_that_is_away_is_a_finding(dsn):
    """It's said, and nothing is raised."""
    [found] = sick("host=127.0.0.1 port=1 dbname=x")
    assert found.startswith("Postgres doesn't answer")
    assert any("Postgres doesn't answer" in each for each in sick(dsn + "x"))
