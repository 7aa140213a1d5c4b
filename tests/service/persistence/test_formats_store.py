"""The agreed versions in a real Postgres: they only grow, and only the newest coordinator raises them."""

import asyncio

import psycopg
import pytest

from persistence.formats import Outdated
from persistence.postgres import PostgresStores


@pytest.fixture
async def stores(dsn):
    stores = PostgresStores(dsn)
    yield stores
    await stores.close()


async def test_a_version_never_falls(stores):
    """Each kind has the highest that it was ever raised to, whatever order the words arrive in."""
    term = await stores.assignments.begin_term()
    assert await stores.formats.read() == {}
    await stores.formats.rise(term, {"chess": 2, "nim": 1})
    await stores.formats.rise(term, {"chess": 1, "nim": 3})
    assert await stores.formats.read() == {"chess": 2, "nim": 3}


async def test_a_coordinator_of_an_older_term_raises_nothing(stores):
    """It's told so; what it couldn't know of may need the lower version."""
    old = await stores.assignments.begin_term()
    new = await stores.assignments.begin_term()
    await stores.formats.rise(new, {"nim": 1})
    with pytest.raises(Outdated):
        await stores.formats.rise(old, {"nim": 2})
    assert await stores.formats.read() == {"nim": 1}


async def test_a_late_word_of_an_older_term_is_seen_by_the_next_or_lost(stores, dsn):
    """A rise that is under way as the next term begins is over before that reads what is stored."""
    old = await stores.assignments.begin_term()
    await stores.formats.rise(old, {"nim": 1})
    others = PostgresStores(dsn)
    connect = psycopg.AsyncConnection.connect
    async with await connect(dsn, autocommit=True) as watcher, await connect(dsn) as blocker:
        await blocker.execute("SELECT FROM formats FOR UPDATE")
        rise = asyncio.create_task(stores.formats.rise(old, {"nim": 2}))
        await _waiting(watcher, 1)
        begun = asyncio.create_task(others.assignments.begin_term())
        await _waiting(watcher, 2)
        assert not begun.done()
        await blocker.commit()
        await asyncio.gather(rise, begun)
    assert await others.formats.read() == {"nim": 2}
    await others.close()


async def _waiting(connection: psycopg.AsyncConnection, count: int) -> None:
    """Wait until so many statements of this database wait for a lock."""
    async with asyncio.timeout(10):
        while True:
            found = await connection.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            row = await found.fetchone()
            if row[0] >= count:
                return
            await asyncio.sleep(0)
