"""PostgresLog: the conformance suite, every interleaving with a take-over, and lost connections."""

import asyncio
import os
import re
import signal
import tempfile
import time
from pathlib import Path

import psycopg
import pytest
from conformance_log import LogConformance, own, read, records
from interleaving import LOCK_ROW, STEPS, Stage, keeps_its_promise, until
from pg_proxy import Proxy

from persistence import appends
from persistence.append_statement import APPEND
from persistence.installation import Installation, install
from persistence.local.postgres import LocalPostgres
from persistence.log import Fenced, Record
from persistence.postgres import PostgresStores
from persistence.postgres_log import Gap


def assigner(stores):
    async def assign(partition: int, owner: str) -> int:
        current = (await stores.assignments.read())[partition]
        return (await stores.assignments.assign(partition, owner, current.epoch)).epoch

    return assign


@pytest.fixture
async def logs(dsn):
    one, other = PostgresStores(dsn), PostgresStores(dsn)
    yield assigner(one), one.log, other.log
    await one.close()
    await other.close()


@pytest.fixture
async def server():
    """A Postgres that may be killed."""
    with tempfile.TemporaryDirectory(prefix="gameshard-pg-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)  # noqa: PTH101  (Path.chmod is taken for blocking here)
        server = LocalPostgres(Path(folder))
        await asyncio.to_thread(server.start)
        install(server.dsn, Installation("test", 4))
        yield server
        await asyncio.to_thread(server.stop)


@pytest.fixture
async def crashing(server):
    stores = PostgresStores(server.dsn)

    async def crash() -> None:
        os.kill(server.pid, signal.SIGKILL)
        await until(lambda: not server.running)
        await asyncio.to_thread(server.start)

    yield assigner(stores), stores.log, crash
    await stores.close()


class TestConformance(LogConformance):
    """PostgresLog keeps what any log must keep."""

    async def test_an_assignment_alone_fences_the_older_owner(self, logs):
        """From the moment an epoch is raised no append of an older one counts."""
        assign, old, new = logs
        [before] = await own(assign, old, "a", 1)
        epoch = await assign(0, "b")
        with pytest.raises(Fenced):
            await old.append(0, before, records("g", 1, 1))
        claim = await new.claim(0, epoch, "b")
        assert await read(new, 0, 0, claim.head) == []

    async def test_offsets_are_dense_from_zero(self, logs):
        """Nothing but records takes an offset, also after take-overs."""
        assign, one, other = logs
        for turn in range(4):
            log = (one, other)[turn % 2]
            epoch = await assign(0, "a")
            assert (await log.claim(0, epoch, "a")).head == 2 * turn
            assert await log.append(0, epoch, records("g", 1 + 2 * turn, 2)) == 2 * turn


@pytest.fixture
async def stage(dsn):
    async with Proxy(dsn) as proxy:
        stage = await Stage(dsn, proxy).begin()
        yield stage
        await stage.close()


@pytest.mark.parametrize("step", STEPS)
async def test_an_append_is_below_the_claims_head_or_never_there(stage, step):
    """Whenever a take-over comes, the claim has seen the append or the append fails."""
    assert await keeps_its_promise(stage, step)


async def test_an_open_append_holds_the_lock_of_its_row(stage):
    """The steps within an append do stop where the row is updated and not yet committed."""
    for game in ("stop in insert", "stop at commit"):
        stage.blocker.execute("SELECT pg_advisory_xact_lock(7)")
        append = stage.append(game)
        await until(lambda: stage.waiting() == 1)
        assert stage.row_is_locked()
        stage.blocker.rollback()
        await append
        assert not stage.row_is_locked()


HELD = r"UPDATE partitions p\n.*?(?=FROM unnest).*?RETURNING p\.id, p\.head - a\.n AS first"
MUTANTS = {
    "no epoch": (r" AND p\.epoch = a\.epoch AND p\.version = a\.version", ""),
    "no lock": (
        HELD,
        (
            "SELECT p.id, p.head AS first FROM partitions p"
            " JOIN unnest($1, $2, $3, $4) AS a (id, epoch, version, n)"
            " ON p.id = a.id AND p.epoch = a.epoch AND p.version = a.version), moved AS ("
            "UPDATE partitions p SET head = p.head + a.n"
            " FROM unnest($1, $4) AS a (id, n) WHERE p.id = a.id"
        ),
    ),
}


@pytest.mark.parametrize("mutant", MUTANTS)
async def test_the_check_above_catches_a_log_without_its_fence(empty_dsn, mutant):
    """Without the condition, or with a condition but not under the lock, a step breaks the promise."""
    broken, changes = re.subn(*MUTANTS[mutant], APPEND, flags=re.DOTALL)
    assert changes == 1
    kept = {}
    for step in STEPS[:6]:
        with psycopg.connect(empty_dsn, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        install(empty_dsn, Installation("test", 4))
        async with Proxy(empty_dsn) as proxy:
            stage = Stage(empty_dsn, proxy, broken)
            try:
                kept[step.__name__] = await keeps_its_promise(await stage.begin(), step)
            finally:
                await stage.close()
    assert kept["after_the_commit"]
    assert not all(kept.values())


async def arrive_late(stage) -> None:
    """Let a statement reach the server after its owner has settled it and sent it again."""
    stage.proxy.hold()
    append = stage.append()
    await until(lambda: any(link.held for link in stage.proxy.links))
    late = [link for link in stage.proxy.links if link.held]
    stage.proxy.cut()
    assert await append == 1
    for link in late:
        heard = link.heard
        link.release()
        await until(lambda link=link, heard=heard: link.heard > heard)
    await until(lambda: stage.running() == 0)


async def test_a_statement_that_arrives_after_its_settlement_changes_nothing(stage):
    """Raising the version shuts out the old statement: what was sent again is there once."""
    await arrive_late(stage)
    assert await read(stage.log, 0) == records("g", 1, 2)


async def test_without_the_version_a_late_statement_is_there_twice(dsn):
    """The test above catches a log that doesn't compare versions."""
    async with Proxy(dsn) as proxy:
        broken = APPEND.replace(" AND p.version = a.version", "")
        assert broken != APPEND
        stage = await Stage(dsn, proxy, broken).begin()
        await arrive_late(stage)
        assert len(await read(stage.log, 0)) == 3
        await stage.close()


TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() AND query LIKE '%INSERT INTO events%'"
)


async def lose_the_answer(stage, seq):
    stage.proxy.mute()
    append = stage.log.append(0, stage.epoch, records("g", seq, 1))
    await until(lambda: stage.present() == seq)
    stage.proxy.cut()
    return append


async def lose_the_question(stage, seq):
    stage.proxy.hold()
    append = stage.log.append(0, stage.epoch, records("g", seq, 1))
    await until(lambda: any(link.held for link in stage.proxy.links))
    stage.proxy.cut()
    return append


async def be_terminated_while_waiting(stage, seq):
    stage.blocker.execute(LOCK_ROW)
    append = stage.log.append(0, stage.epoch, records("g", seq, 1))
    await until(lambda: stage.waiting() >= 1)
    stage.watcher.execute(TERMINATE)
    await until(lambda: stage.log.doubt_since is not None)
    assert not stage.log.healthy
    stage.blocker.rollback()
    return append


async def be_terminated_while_idle(stage, seq):
    stage.watcher.execute(TERMINATE)
    return stage.log.append(0, stage.epoch, records("g", seq, 1))


async def be_cut_while_waiting(stage, seq):
    stage.blocker.execute(LOCK_ROW)
    append = stage.log.append(0, stage.epoch, records("g", seq, 1))
    await until(lambda: stage.waiting() >= 1)
    stage.proxy.cut()
    await until(lambda: stage.waiting() == 2)  # the old statement and its settlement
    stage.blocker.rollback()
    return append


async def test_an_append_in_doubt_is_settled_as_acknowledged_exactly_once(stage):
    """Lost at any step, it's acknowledged in the end and there once; health tells meanwhile."""
    ways = [lose_the_answer, lose_the_question, be_terminated_while_waiting,
        be_terminated_while_idle, be_cut_while_waiting]  # fmt: skip
    for seq, way in enumerate(ways, start=2):
        append = await way(stage, seq)
        assert await append == seq - 1
        await until(lambda: stage.log.healthy)
    assert await read(stage.log, 0) == records("g", 1, len(ways) + 1)


async def test_a_reset_connection_is_noticed_at_once(server, crashing, monkeypatch):
    """Parting words and a reset in one, of which uvloop tells once and never again, are enough."""
    monkeypatch.setattr(appends, "STUCK_S", 10_000)
    assign, log, _ = crashing
    [epoch] = await own(assign, log, "a", 1)
    await log.append(0, epoch, records("g", 1, 1))
    with psycopg.connect(server.dsn) as watcher:
        [(pid,)] = watcher.execute(
            "SELECT pid FROM pg_stat_activity"
            " WHERE query LIKE '%INSERT INTO events%' AND pid <> pg_backend_pid()"
        ).fetchall()
    os.kill(pid, signal.SIGSTOP)
    os.kill(server.pid, signal.SIGKILL)
    await until(lambda: not server.running)
    append = log.append(0, epoch, records("g", 2, 1))
    await until(lambda: log._appends.waiting_since is not None)
    os.kill(pid, signal.SIGCONT)  # it finds its server dead before it reads what we sent
    await asyncio.to_thread(server.start)
    async with asyncio.timeout(30):
        assert await append == 1
    assert await read(log, 0) == records("g", 1, 2)


async def test_an_append_that_its_asker_gave_up_still_counts(stage):
    """A cancelled future changes nothing for the log: the next append comes after it, in doubt too."""
    stage.blocker.execute(LOCK_ROW)
    stage.append().cancel()
    await until(lambda: stage.waiting() == 1)
    append = stage.log.append(0, stage.epoch, records("g", 3, 1))
    stage.proxy.cut()
    await until(lambda: stage.waiting() == 2)
    stage.blocker.rollback()
    assert await append == 2
    assert await read(stage.log, 0) == records("g", 1, 3)


async def test_an_owner_again_is_not_harmed_by_its_older_epochs_doubt(stage):
    """An append in doubt under an older epoch is refused without losing what was claimed since."""
    stage.proxy.hold()
    append = stage.append()
    await until(lambda: any(link.held for link in stage.proxy.links))
    stage.proxy.away = True
    stage.proxy.cut()
    await until(lambda: not stage.log.healthy)
    stage.proxy.away = False
    epoch = await stage.assign("a")
    claim = await stage.log.claim(0, epoch, "a")
    assert isinstance((await asyncio.gather(append, return_exceptions=True))[0], Exception)
    assert await stage.log.append(0, epoch, records("g", 2, 1)) == claim.head == 1


async def test_a_record_that_cannot_be_stored_is_refused_at_once(logs):
    """What Postgres could never take fails before it's queued, so nothing waits behind it."""
    assign, log, _ = logs
    [epoch] = await own(assign, log, "a", 1)
    for wrong in (
        [],
        [Record("a\0b", 1, b"")],
        [Record("a", 1 << 31, b"")],
        [Record("\ud800", 1, b"")],
    ):
        with pytest.raises(ValueError, match=r"nothing|NUL|bits|surrogates"):
            log.append(0, epoch, wrong)
    assert await log.append(0, epoch, records("g", 1, 1)) == 0


async def test_retention_deletes_only_what_no_replay_needs(logs, dsn):
    """Records below the checkpoint and older than asked go; reading them is an error by name."""
    assign, log, _ = logs
    [epoch] = await own(assign, log, "a", 1)
    await log.append(0, epoch, records("g", 1, 8))
    await log.checkpoint(0, epoch, 5)
    assert await log.trim(0) == 0
    assert await log.trim(1 << 60) == 5
    assert await read(log, 0, 5) == records("g", 6, 3)
    with pytest.raises(Gap) as raised:
        await read(log, 0, 3)
    assert raised.value.offset == 3


async def test_outages_are_forgotten_when_no_claim_tells_them_any_more(logs, dsn):
    """What is deleted with the trimming is exactly what claims leave out: nothing that counts."""
    assign, log, _ = logs
    await own(assign, log, "a", 1)
    now = int(time.time() * 1000)
    day = 24 * 3600 * 1000
    untils = [now - 31 * day, now - 30 * day - 60_000, now - 30 * day + 60_000, now - day]
    with psycopg.connect(dsn, autocommit=True) as connection:
        for until in untils:
            connection.execute("INSERT INTO outages VALUES (0, %s, %s)", (until - 1, until))
        await log.trim(0)
        left = connection.execute("SELECT until FROM outages ORDER BY 1").fetchall()
    assert [until for (until,) in left] == untils[2:]
    later = await assign(0, "b")
    told = (await log.claim(0, later, "b")).outages
    assert [until for _, until in told[:2]] == untils[2:]


async def test_nothing_is_left_when_it_is_closed_in_doubt(stage):
    """Closing amid an outage ends the repair and fails what waits."""
    stage.blocker.execute(LOCK_ROW)
    append = stage.append()
    await until(lambda: stage.waiting() == 1)
    stage.proxy.away = True
    stage.proxy.cut()
    await until(lambda: not stage.log.healthy)
    await stage.log.close()
    assert type((await asyncio.gather(append, return_exceptions=True))[0]).__name__ == "Unavailable"
    assert [t for t in asyncio.all_tasks() if "repair" in repr(t)] == []
