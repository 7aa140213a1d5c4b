"""An append and a take-over on real Postgres, brought together at every step of the append."""

import asyncio

import psycopg
from conformance_log import records
from pg_proxy import Proxy

from persistence.append_statement import APPEND
from persistence.database import Database
from persistence.log import Fenced
from persistence.postgres import PostgresStores
from persistence.postgres_log import PostgresLog

LOCK_ROW = "SELECT 1 FROM partitions WHERE id = 0 FOR UPDATE"
_PAUSE = """
CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NEW; END';
CREATE TRIGGER in_insert BEFORE INSERT ON events FOR EACH ROW
    WHEN (NEW.game = 'stop in insert') EXECUTE FUNCTION pause();
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.game = 'stop at commit') EXECUTE FUNCTION pause();
"""


async def until(condition) -> None:
    """Wait for what another process does: it tells nobody, so it's looked at again and again."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


class Stage:
    """One owner behind a proxy, another that takes over, and a session that gets in the way."""

    def __init__(self, dsn: str, proxy: Proxy, statement: str = APPEND) -> None:
        self.proxy = proxy
        self._database = Database(proxy.dsn)
        self.log = PostgresLog(proxy.dsn, self._database, statement)
        self.other = PostgresStores(dsn)
        self.blocker = psycopg.connect(dsn)
        self.watcher = psycopg.connect(dsn, autocommit=True)
        self.epoch = 0
        self.certain = True
        """Whether the owner can know what became of its append (its connection holds)."""

    async def begin(self) -> "Stage":
        self.watcher.execute(_PAUSE)
        self.epoch = await self.assign("a")
        await self.log.claim(0, self.epoch, "a")
        await self.log.append(0, self.epoch, records("g", 1, 1))
        return self

    async def assign(self, owner: str) -> int:
        current = (await self.other.assignments.read())[0]
        return (await self.other.assignments.assign(0, owner, current.epoch)).epoch

    async def take_over(self) -> int:
        """Return the claim's head."""
        return (await self.other.log.claim(0, await self.assign("b"), "b")).head

    def append(self, game: str = "g"):
        return self.log.append(0, self.epoch, records(game, 2, 1))

    def waiting(self) -> int:
        """How many sessions of this database wait for a lock."""
        return self._count("wait_event_type = 'Lock'")

    def running(self) -> int:
        return self._count("state <> 'idle' AND pid <> pg_backend_pid()")

    def _count(self, condition: str) -> int:
        return self.watcher.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND backend_type = 'client backend' AND "
            + condition
        ).fetchone()[0]

    def present(self) -> int:
        return self.watcher.execute("SELECT count(*) FROM events").fetchone()[0]

    def row_is_locked(self) -> bool:
        return not self.watcher.execute(LOCK_ROW + " SKIP LOCKED").fetchall()

    async def close(self) -> None:
        self.blocker.close()
        self.watcher.close()
        await self.log.close()
        await self._database.close()
        await self.other.close()


async def before_sending(stage):
    head = await stage.take_over()
    return stage.append(), head


async def behind_the_take_over(stage):
    """Both wait for the row; the take-over was first in the queue."""
    stage.blocker.execute(LOCK_ROW)
    taking = asyncio.create_task(stage.take_over())
    await until(lambda: stage.waiting() == 1)
    append = stage.append()
    await until(lambda: stage.waiting() == 2)
    stage.blocker.rollback()
    return append, await taking


async def ahead_of_the_take_over(stage):
    stage.blocker.execute(LOCK_ROW)
    append = stage.append()
    await until(lambda: stage.waiting() == 1)
    taking = asyncio.create_task(stage.take_over())
    await until(lambda: stage.waiting() == 2)
    stage.blocker.rollback()
    return append, await taking


async def within(stage, where: str):
    """The append has updated the row, and stops within its open transaction."""
    stage.blocker.execute("SELECT pg_advisory_xact_lock(7)")
    append = stage.append(where)
    await until(lambda: stage.waiting() == 1)
    taking = asyncio.create_task(stage.take_over())
    await until(lambda: taking.done() or stage.waiting() == 2)
    stage.blocker.rollback()
    return append, await taking


async def within_the_insert(stage):
    return await within(stage, "stop in insert")


async def between_update_and_commit(stage):
    return await within(stage, "stop at commit")


async def after_the_commit(stage):
    append = stage.append()
    await append
    return append, await stage.take_over()


async def committed_but_the_answer_is_lost(stage):
    stage.certain = False
    stage.proxy.mute()
    append = stage.append()
    await until(lambda: stage.present() == 2)
    head = await stage.take_over()
    stage.proxy.cut()
    return append, head


async def cut_while_it_waits_ahead(stage):
    """Nobody hears the old statement any more, but it's first in the queue for the row."""
    stage.certain = False
    stage.blocker.execute(LOCK_ROW)
    append = stage.append()
    await until(lambda: stage.waiting() == 1)
    stage.proxy.away = True
    stage.proxy.cut()
    taking = asyncio.create_task(stage.take_over())
    await until(lambda: stage.waiting() == 2)
    stage.blocker.rollback()
    head = await taking
    stage.proxy.away = False
    return append, head


async def cut_while_it_waits_behind(stage):
    stage.certain = False
    stage.blocker.execute(LOCK_ROW)
    taking = asyncio.create_task(stage.take_over())
    await until(lambda: stage.waiting() == 1)
    append = stage.append()
    await until(lambda: stage.waiting() == 2)
    stage.proxy.away = True
    stage.proxy.cut()
    stage.blocker.rollback()
    head = await taking
    stage.proxy.away = False
    return append, head


async def still_travelling(stage):
    """The statement reaches the server only after the take-over, from a dead connection."""
    stage.certain = False
    stage.proxy.hold()
    append = stage.append()
    await until(lambda: any(link.held for link in stage.proxy.links))
    stage.proxy.away = True
    stage.proxy.cut()
    head = await stage.take_over()
    for link in [link for link in stage.proxy.links if link.held]:
        heard = link.heard
        link.release()
        await until(lambda link=link, heard=heard: link.heard > heard)
    stage.proxy.away = False
    return append, head


STEPS = [
    before_sending, behind_the_take_over, ahead_of_the_take_over, within_the_insert,
    between_update_and_commit, after_the_commit, committed_but_the_answer_is_lost,
    cut_while_it_waits_ahead, cut_while_it_waits_behind, still_travelling,
]  # fmt: skip


async def keeps_its_promise(stage: Stage, step) -> bool:
    """Whether, after `step`, the append is below the claim's head, or refused and never later."""
    append, head = await step(stage)
    try:
        offset = await append
    except Fenced:
        offset = None
    await until(lambda: stage.running() == 0)
    nothing_later = stage.present() == head
    if offset is not None:
        return nothing_later and offset == 1 < head
    return nothing_later and (head == 1 or not stage.certain)
