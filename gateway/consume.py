"""Consumers of the topic as processes: put together, run until a signal, their dead letters."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from msgspec import Struct

from gateway.consumer_metrics import MetricsServer
from persistence.database import Database
from persistence.kafka.brokers import Brokers
from persistence.kafka.consumed import Consumed, Letter
from persistence.kafka.consumer import Consumer, ConsumerSettings
from persistence.kafka.consumer_work import Counts, Settler, described
from persistence.kafka.dead_letters import DeadLetters
from persistence.kafka.stores import KafkaSettings
from runtime.archiving import Archiving
from runtime.behaviours import load
from runtime.whole_history import WholeHistory

_PATIENCE_S = 10.0


class Consuming(Struct, frozen=True, kw_only=True):
    """Where a consumer works, and how.

    Attributes:
        dsn: Postgres, which holds the games and what the consumer makes of them.
        kafka: Where the events are.
        settings: The consumer's own.
        metrics: Host and port of its /metrics; None: none.
        from_beginning: Read all that Kafka still has.
        until_end: Return when all of that is settled.
    """

    dsn: str
    kafka: KafkaSettings
    settings: ConsumerSettings = ConsumerSettings()
    metrics: tuple[str, int] | None = None
    from_beginning: bool = False
    until_end: bool = False


@asynccontextmanager
async def _archiving(
    consuming: Consuming, patience_s: float
) -> AsyncGenerator[tuple[Archiving, Database]]:
    """Give the archive's work, and the database for its transactions; see `WholeHistory`."""
    games, work = Database(consuming.dsn), Database(consuming.dsn)
    brokers = await Brokers.connect(consuming.kafka.servers, consuming.kafka.topic)
    try:
        yield Archiving(load(), WholeHistory(games, brokers, patience_s)), work
    finally:
        await brokers.close()
        await games.close()
        await work.close()


async def archive(consuming: Consuming, say: Callable[[str], None]) -> Counts:
    """Archive games until SIGINT or SIGTERM; return what was counted.

    Raises:
        OSError: If the address for /metrics can't be had.
        psycopg.ProgrammingError: If the database lacks our tables.
    """
    async with _archiving(consuming, _PATIENCE_S) as (work, database):
        consumer = Consumer(work, consuming.kafka, database, consuming.settings)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, consumer.stop)
        metrics = MetricsServer(consumer)
        if consuming.metrics is not None:
            host, port = consuming.metrics
            say(f"metrics at http://{host}:{metrics.start(host, port)}/metrics")
        try:
            await consumer.run(
                from_beginning=consuming.from_beginning, until_end=consuming.until_end
            )
        finally:
            await metrics.stop()
        return consumer.counts


async def letters(consuming: Consuming, name: str) -> list[Letter]:
    """Return the dead letters that wait for somebody.

    Raises:
        Unavailable: If Postgres doesn't answer.
    """
    database = Database(consuming.dsn)
    try:
        return await Consumed(database, name).letters()
    finally:
        await database.close()


async def redrive(consuming: Consuming, say: Callable[[str], None]) -> tuple[int, int]:
    """Try the archive's dead letters again; return how many were done, and how many weren't.

    Raises:
        Unavailable: If Kafka or Postgres doesn't answer; those that were done are.
    """
    done = failed = 0
    async with _archiving(consuming, 0.0) as (work, database):
        copies = DeadLetters(consuming.kafka, work.name)
        settler = Settler(work, database, copies, Counts(), consuming.settings.events)
        waiting = {letter.place for letter in await settler.consumed.letters()}
        if not waiting:
            return 0, 0
        async for item in copies.read():
            if item.place not in waiting:
                continue
            waiting.discard(item.place)
            try:
                done += await settler.redrive(item)
            except Exception as error:  # noqa: BLE001  (whatever the work can raise: told, noted)
                failed += 1
                say(f"{item.place.partition}/{item.place.offset}: {described(error)}")
    return done, failed + len(waiting)
