"""The consumer while what it works on is away: a broker and a Postgres of its own, which are killed."""

import asyncio
import os
import signal
import tempfile
from pathlib import Path

import pytest
from consumers import SETTINGS, Tally, bench_on, counted

from persistence.installation import Installation, install
from persistence.local.kafka import LocalKafka
from persistence.local.postgres import LocalPostgres


@pytest.fixture
def own_kafka(tmp_path):
    kafka = LocalKafka(tmp_path / "kafka")
    kafka.start()
    yield kafka
    kafka.kill()


@pytest.fixture
def own_postgres():
    with tempfile.TemporaryDirectory(prefix="gameshard-pg-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = LocalPostgres(Path(folder))
        server.start()
        yield server
        server.stop()


async def test_kafka_and_postgres_killed_in_turn_cost_nothing(own_kafka, own_postgres):
    """kill -9 of either amid work: no record is to blame, and each is done once when it's back."""
    install(own_postgres.dsn, Installation("test", 4))
    async with bench_on(own_kafka.address, "events", own_postgres.dsn) as bench:
        work = Tally()
        consumer = bench.consumer(work)
        running = asyncio.create_task(consumer.run())
        expected = [("g", seq) for seq in range(1, 61)]
        await bench.write(*(counted("g", seq) for seq in range(1, 21)))
        await bench.until(lambda: work.stored >= 20)

        await asyncio.to_thread(own_kafka.kill)
        await asyncio.to_thread(own_kafka.start)
        await bench.write(*(counted("g", seq) for seq in range(15, 41)))
        await bench.until(lambda: work.stored >= 40)

        os.kill(own_postgres.pid, signal.SIGKILL)
        await bench.write(*(counted("g", seq) for seq in range(35, 61)))
        await bench.until(lambda: consumer.counts.waits >= SETTINGS.attempts + 1)
        await asyncio.to_thread(own_postgres.start, own_postgres.port)

        async def done():
            return await bench.tally() == expected

        await bench.until(done)
        await bench.until(lambda: consumer.lags().get(0) == 0)
        consumer.stop()
        await running
        assert (consumer.counts.failures, consumer.counts.dead_letters) == (0, 0)
        assert await consumer.settler.consumed.letters() == []
