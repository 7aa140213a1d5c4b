"""PostgresLog: the conformance suite, every interleaving with a take-over, and lost connections."""

import asyncio
import os
import re
import signal
import tempfile
from pathlib import Path

import psycopg
import pytest
from conformance_log import LogConformance, read, records
from persistence import postgres_log
from persistence.installation import Installation, install
from persistence.local.postgres import LocalPostgres
from persistence.log import Fenced
from persistence.postgres import PostgresStores


async def assigner(stores):
    async def assign(partition: int, owner: str) -> int:
        current = (await stores.assignments.read())[partition]
        return (await stores.assignments.assign(partition, owner, current.epoch)).epoch

    return assign


@pytest.fixture
async def logs(dsn):
    one, other = PostgresStores(dsn), PostgresStores(dsn)
    yield await assigner(one), one.log, other.log
    await one.close()
    await other.close()


class TestConformance(LogConformance):
    """PostgresLog keeps what any log must keep."""


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def waiting(connection: psycopg.Connection) -> int:
    """How many other sessions of this database wait for a lock."""
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ).fetchone()
    return row[0]


class Step:
    """Where a take-over comes in between."""

    BEFORE_SENDING, WHILE_BLOCKED, AFTER_UPDATE, AFTER_COMMIT = range(4)


async def interleave(dsn: str, step: int) -> tuple[bool, int, int]:
    """Run an append against a take-over that comes at `step`.

    Returns whether the append was acknowledged, the claim's head, and how many records there are.
    """
    one, other = PostgresStores(dsn), PostgresStores(dsn)
    assign = await assigner(other)
    epoch = await assign(0, "a")
    await one.log.claim(0, epoch, "a")
    await one.log.append(0, epoch, records("g", 1, 1))

    async def take_over() -> int:
        new = await assign(0, "b")
        return (await other.log.claim(0, new, "b")).head

    with psycopg.connect(dsn) as blocker, psycopg.connect(dsn, autocommit=True) as watcher:
        if step == Step.BEFORE_SENDING:
            head = await take_over()
            append = one.log.append(0, epoch, records("g", 2, 1))
        elif step == Step.WHILE_BLOCKED:
            # Both wait for the row; the take-over was first in the queue.
            blocker.execute("SELECT 1 FROM partitions WHERE id = 0 FOR UPDATE")
            taking = asyncio.create_task(take_over())
            await until(lambda: waiting(watcher) == 1)
            append = one.log.append(0, epoch, records("g", 2, 1))
            await until(lambda: waiting(watcher) == 2)
            blocker.rollback()
            head = await taking
        elif step == Step.AFTER_UPDATE:
            # The append has the row's lock and stops within its insert.
            blocker.execute("LOCK TABLE events IN SHARE MODE")
            append = one.log.append(0, epoch, records("g", 2, 1))
            await until(lambda: waiting(watcher) == 1)
            taking = asyncio.create_task(take_over())
            await until(lambda: waiting(watcher) == 2)
            blocker.rollback()
            head = await taking
        else:
            append = one.log.append(0, epoch, records("g", 2, 1))
            await append
            head = await take_over()
        try:
            await append
            acknowledged = True
        except Fenced:
            acknowledged = False
        count = watcher.execute("SELECT count(*) FROM events WHERE partition = 0").fetchone()[0]
    await one.close()
    await other.close()
    return acknowledged, head, count


STEPS = [Step.BEFORE_SENDING, Step.WHILE_BLOCKED, Step.AFTER_UPDATE, Step.AFTER_COMMIT]


def keeps_the_promise(acknowledged: bool, head: int, count: int) -> bool:
    """An append is below the claim's head, or it's refused and not there."""
    return count == head and acknowledged == (head == 2)


@pytest.mark.parametrize("step", STEPS)
async def test_an_append_is_below_the_claims_head_or_never_there(dsn, step):
    """Whenever a take-over comes, the claim has seen the append or the append fails."""
    assert keeps_the_promise(*await interleave(dsn, step))


MUTANTS = {
    "no epoch": (rb"AND p\.epoch = a\.epoch AND p\.version = a\.version", b""),
    "no lock": (rb"UPDATE partitions p\s+SET .*?RETURNING p\.id, p\.head - a\.n AS first",
        b"SELECT p.id, p.head AS first FROM partitions p JOIN asked a ON p.id = a.id"
        b" WHERE p.epoch = a.epoch AND p.version = a.version AND $11 > 0"),
}


@pytest.mark.parametrize("mutant", MUTANTS)
async def test_the_check_above_catches_a_log_without_its_fence(dsn, mutant, monkeypatch):
    """Without the condition, or without the row's lock, some interleaving breaks the promise."""
    pattern, instead = MUTANTS[mutant]
    broken, changes = re.subn(pattern, instead, postgres_log.APPEND, flags=re.DOTALL)
    assert changes == 1
    monkeypatch.setattr(postgres_log, "APPEND", broken)
    kept = []
    for step in STEPS:
        with psycopg.connect(dsn) as connection:
            connection.execute("DELETE FROM events")
            connection.execute("UPDATE partitions SET head = 0")
        try:
            kept.append(keeps_the_promise(*await interleave(dsn, step)))
        except TimeoutError:
            kept.append(False)  # it doesn't even wait where it must
    assert not all(kept)


async def test_a_cut_connection_leaves_an_append_in_doubt_until_it_is_settled(dsn):
    """Cut at every step of an append, it's acknowledged exactly once in the end."""
    stores = PostgresStores(dsn)
    assign = await assigner(stores)
    epoch = await assign(0, "a")
    await stores.log.claim(0, epoch, "a")
    await stores.log.append(0, epoch, records("g", 1, 1))
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND query LIKE '%%INSERT INTO events%%'"
    )
    with psycopg.connect(dsn) as blocker, psycopg.connect(dsn, autocommit=True) as watcher:
        for seq, lock in enumerate(
            ("SELECT 1 FROM partitions WHERE id = 0 FOR UPDATE", "LOCK TABLE events IN SHARE MODE"),
            start=2,
        ):
            blocker.execute(lock)
            append = stores.log.append(0, epoch, records("g", seq, 1))
            await until(lambda: waiting(watcher) >= 1)
            watcher.execute(kill)
            blocker.rollback()
            assert await append == seq - 1
        watcher.execute(kill)  # while idle: the next append finds the connection dead
        assert await stores.log.append(0, epoch, records("g", 4, 1)) == 3
    assert await read(stores.log, 0, 0, 9) == records("g", 1, 4)
    await stores.close()


async def test_a_statement_that_still_travels_after_its_settlement_changes_nothing(dsn):
    """Raising the version shuts out the old statement: what was sent again is there once."""
    stores = PostgresStores(dsn)
    assign = await assigner(stores)
    epoch = await assign(0, "a")
    await stores.log.claim(0, epoch, "a")
    late = stores.log._parameters([postgres_log._Append(0, epoch, records("g", 1, 2), None)])
    stores.log._owned[0].version -= 0
    append = stores.log.append(0, epoch, records("g", 1, 2))
    stores.log._settle()  # before anything was sent: outcome unknown
    assert await append == 0
    connection = postgres_log._open(dsn)
    connection.nonblocking = 0
    result = connection.exec_prepared(b"append", late, postgres_log._BINARY, 1)
    assert result.ntuples == 0
    connection.finish()
    assert await read(stores.log, 0, 0, 9) == records("g", 1, 2)
    await stores.close()


async def test_a_killed_server_loses_no_acknowledged_append():
    """kill -9 of Postgres under load and a restart: every acknowledgement stands, exactly once."""
    with tempfile.TemporaryDirectory(prefix="gameshard-pg-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = LocalPostgres(Path(folder))
        server.start()
        port = server.port
        install(server.dsn, Installation("test", 4))
        stores = PostgresStores(server.dsn)
        assign = await assigner(stores)
        epochs = [await assign(p, "a") for p in range(4)]
        for p in range(4):
            await stores.log.claim(p, epochs[p], "a")
        acknowledged: dict[int, int] = dict.fromkeys(range(4), 0)
        enough = asyncio.Event()

        async def write(p: int) -> None:
            for seq in range(1, 2501):
                assert await stores.log.append(p, epochs[p], records(f"g{p}", seq, 1)) == seq - 1
                acknowledged[p] = seq
                if seq == 700:
                    enough.set()

        writing = [asyncio.create_task(write(p)) for p in range(4)]
        await enough.wait()
        os.kill(server.pid, signal.SIGKILL)
        server._process.wait()
        server.start(port=port)
        async with asyncio.timeout(60):
            await asyncio.gather(*writing)
        for p in range(4):
            assert await read(stores.log, p, 0, 9999) == [
                record for seq in range(1, 2501) for record in records(f"g{p}", seq, 1)
            ]
        await stores.close()
        server.stop()
