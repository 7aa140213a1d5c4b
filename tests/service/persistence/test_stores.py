"""Assignments, names, the installation and the connection's return on real Postgres."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from interleaving import LOCK_ROW, until

from persistence import database
from persistence.assignments import Assignment, Conflict
from persistence.database import Database, Unstorable
from persistence.installation import Installation, Mismatch, install
from persistence.log import Fenced, Unavailable
from persistence.postgres import PostgresStores


@pytest.fixture
async def stores(dsn):
    stores = PostgresStores(dsn)
    yield stores
    await stores.close()


async def test_names_can_be_changed_and_erased(stores):
    """A name is what was last said, and gone when erased."""
    await stores.names.save({"u1": "Ann", "u2": "Bob"})
    await stores.names.save({"u1": "Anna"})
    assert await stores.names.load(["u1", "u2", "u3"]) == {"u1": "Anna", "u2": "Bob"}
    await stores.names.erase("u1")
    assert await stores.names.load(["u1"]) == {}


async def test_a_name_that_cannot_be_stored_is_refused(stores):
    """The error is one of ours, and the connection stays good."""
    with pytest.raises(Unstorable):
        await stores.names.save({"u1": "A\0"})
    assert await stores.names.load(["u1"]) == {}


async def test_of_several_assigners_one_wins(stores, dsn):
    """Compare-and-set gives an epoch once; the others learn the newer one."""
    everybody = [PostgresStores(dsn) for _ in range(5)]
    results = await asyncio.gather(
        *(s.assignments.assign(0, f"s{i}", 0) for i, s in enumerate(everybody)),
        return_exceptions=True,
    )
    won = [r for r in results if isinstance(r, Assignment)]
    lost = [r for r in results if isinstance(r, Conflict)]
    assert (len(won), len(lost)) == (1, 4)
    assert {(e.expected, e.found) for e in lost} == {(0, won[0])}
    assert await stores.assignments.read() == [won[0], *(Assignment(p, 0, "") for p in (1, 2, 3))]
    for each in everybody:
        await each.close()


async def test_a_row_that_is_held_keeps_back_no_other(stores, dsn):
    """Assignments and claims that are asked together don't wait for each other's rows."""
    with psycopg.connect(dsn) as blocker, psycopg.connect(dsn, autocommit=True) as watcher:

        def waiting():
            sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            return watcher.execute(sql).fetchone() == (1,)

        blocker.execute(LOCK_ROW)
        assigning = [asyncio.ensure_future(stores.assignments.assign(p, "a", 0)) for p in range(3)]
        assert [await each for each in assigning[1:]] == [Assignment(p, 1, "a") for p in (1, 2)]
        await until(waiting)
        blocker.rollback()
        assert await assigning[0] == Assignment(0, 1, "a")
        blocker.execute(LOCK_ROW)
        claiming = [asyncio.ensure_future(stores.log.claim(p, 1, "a")) for p in range(3)]
        assert [(await each).partition for each in claiming[1:]] == [1, 2]
        await until(waiting)
        blocker.rollback()
        assert (await claiming[0]).partition == 0


async def test_what_is_asked_together_is_refused_one_by_one(stores):
    """Who expects another epoch, or claims what isn't theirs, harms nobody who asks with them."""
    assign, claim = stores.assignments.assign, stores.log.claim
    assigned = [assign(0, "a", 0), assign(1, "a", 7), assign(2, "a", 0)]
    first, wrong, last = await asyncio.gather(*assigned, return_exceptions=True)
    assert (first, last) == (Assignment(0, 1, "a"), Assignment(2, 1, "a"))
    assert isinstance(wrong, Conflict)
    claims = [claim(0, 1, "a"), claim(0, 1, "b"), claim(1, 1, "a"), claim(2, 2, "a")]
    mine, *others = await asyncio.gather(*claims, return_exceptions=True)
    assert (mine.partition, mine.epoch) == (0, 1)
    assert [type(each) for each in others] == [Fenced] * 3
    with pytest.raises(Fenced):  # it was opened
        await claim(0, 1, "a")


async def test_outages_are_told_of_each_partition_apart(stores, dsn):
    """Partitions that are claimed together have each its own time without an owner."""
    await asyncio.gather(*(stores.assignments.assign(p, "a", 0) for p in (0, 1, 2)))
    await asyncio.gather(*(stores.log.claim(p, 1, "a") for p in (0, 1)))
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE partitions SET alive_until = alive_until - 5000 WHERE id = 1")
    await asyncio.gather(*(stores.assignments.assign(p, "b", 1) for p in (0, 1, 2)))
    claims = await asyncio.gather(*(stores.log.claim(p, 2, "b") for p in (0, 1, 2)))
    assert [claim.partition for claim in claims] == [0, 1, 2]
    assert [sum(until - since for since, until in claim.outages) >= 5000 for claim in claims] == [
        False,
        True,
        False,
    ]
    assert claims[2].outages == ()


def test_the_schema_is_made_once_though_many_start(empty_dsn):
    """Concurrent starts agree, and a later one finds nothing to do."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: install(empty_dsn, Installation("x", 4)), range(4)))
    install(empty_dsn, Installation("x", 4))
    with psycopg.connect(empty_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM partitions").fetchone() == (4,)
        assert connection.execute("SELECT count(*) FROM installation").fetchone() == (1,)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Installation("x", 8), "partitions: the data has 4, asked is 8"),
        (Installation("y", 4), "namespace: the data has 'x', asked is 'y'"),
        (Installation("x", 4, "kafka"), "log: the data has 'postgres', asked is 'kafka'"),
    ],
)
def test_data_of_another_installation_is_refused_by_name(empty_dsn, other, words):
    """The error says what differs, and what to do."""
    install(empty_dsn, Installation("x", 4))
    with pytest.raises(Mismatch, match=words) as raised:
        install(empty_dsn, other)
    assert "another data directory" in str(raised.value)


def test_data_of_a_newer_version_is_refused(dsn):
    """A schema that this version doesn't know isn't touched."""
    with psycopg.connect(dsn) as connection:
        connection.execute("INSERT INTO migrations (name) VALUES ('999_tomorrow.sql')")
    with pytest.raises(Mismatch, match="999_tomorrow"):
        install(dsn, Installation("test", 4))


def test_a_migration_that_fails_leaves_nothing_behind(empty_dsn):
    """Migrations are one transaction: a table in the way undoes all of it."""
    with psycopg.connect(empty_dsn) as connection:
        connection.execute("CREATE TABLE names (n int)")
    with pytest.raises(psycopg.errors.DuplicateTable):
        install(empty_dsn, Installation("x", 4))
    with psycopg.connect(empty_dsn) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        assert tables.fetchall() == [("names",)]


async def test_a_connection_lost_while_idle_is_replaced_unnoticed(stores, dsn):
    """A restart of Postgres between two calls costs neither of them."""
    await stores.names.save({"u": "x"})
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert await stores.names.load(["u"]) == {"u": "x"}


async def test_a_connection_lost_in_a_transaction_is_unavailable(dsn):
    """What it was to do isn't known, so it's not done again; the next call connects anew."""
    database = Database(dsn)
    with pytest.raises(Unavailable):
        async with database.transaction() as cursor:
            await cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert await database.query("SELECT 1") == [(1,)]
    await database.close()


async def test_what_takes_too_long_is_unavailable(dsn, monkeypatch):
    """A transaction that waits for a lock ends in time, and so does whoever waits behind it."""
    monkeypatch.setattr(database, "TRANSACTION_S", 0.2)
    waiting = Database(dsn)
    with psycopg.connect(dsn) as blocker:
        blocker.execute(LOCK_ROW)
        with pytest.raises(Unavailable):
            await waiting.query(LOCK_ROW)
    async with waiting._lock:
        with pytest.raises(Unavailable):
            await waiting.query("SELECT 1")
    monkeypatch.undo()
    assert await waiting.query(LOCK_ROW) == [(1,)]
    await waiting.close()


async def test_a_cancelled_transaction_is_undone(dsn):
    """Cancelling leaves nothing half done and the connection usable."""
    waiting = Database(dsn)
    with psycopg.connect(dsn) as blocker, psycopg.connect(dsn, autocommit=True) as watcher:
        blocker.execute(LOCK_ROW)

        async def work() -> None:
            async with waiting.transaction() as cursor:
                await cursor.execute("INSERT INTO names VALUES ('u', 'x')")
                await cursor.execute(LOCK_ROW)

        def blocked() -> bool:
            return bool(
                watcher.execute(
                    "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    " AND datname = current_database()"
                ).fetchall()
            )

        task = asyncio.create_task(work())
        await until(blocked)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
    assert await waiting.query("SELECT count(*) FROM names") == [(0,)]
    await waiting.close()


async def test_an_unreachable_database_is_unavailable():
    """Nobody listens there."""
    nowhere = PostgresStores("host=127.0.0.1 port=1 user=nobody connect_timeout=2")
    with pytest.raises(Unavailable):
        await nowhere.assignments.read()
    await nowhere.close()
