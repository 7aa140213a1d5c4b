"""An owner that slept through a take-over, on three real brokers: nothing of it counts."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from uuid import uuid4

import pytest
from kafka_owners import PATIENT, Owner, in_kafka

from persistence.installation import Installation, install
from persistence.local.kafka import LocalKafka
from persistence.log import Record

_SCRIPT = Path(__file__).with_name("owner_process.py")


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    kafka = LocalKafka(tmp_path_factory.mktemp("kafka"), nodes=3)
    kafka.start()
    yield kafka
    kafka.stop()


class Process:
    """An owner in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    @classmethod
    async def begin(cls, *arguments: str) -> "Process":
        command = [sys.executable, str(_SCRIPT), *arguments]
        return cls(await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE))

    async def said(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(90):
            return (await self._process.stdout.readline()).decode().strip()

    def tell(self, seq: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"%d\n" % seq)

    async def end(self) -> None:
        self._process.kill()
        await self._process.wait()


@pytest.mark.parametrize("kill_leader", [False, True])
async def test_a_zombie_is_refused_by_the_brokers(kafka, empty_dsn, kill_leader):
    """Stopped, taken over from, woken: its append is refused, also by a leader that is new."""
    topic = f"t{uuid4().hex[:12]}"
    install(empty_dsn, Installation("test", 1, "kafka"))
    other = await Owner.begin(kafka.address, topic, empty_dsn, PATIENT)
    await other.brokers.ensure_topic(1, 3, 3_600_000, 2)
    zombie = await Process.begin(kafka.address, topic, empty_dsn)
    try:
        assert await zombie.said() == "ready"
        zombie.tell(1)
        assert await zombie.said() == "done"
        os.kill(zombie.pid, signal.SIGSTOP)
        zombie.tell(2)
        await other.log.claim(0, await other.assign(0, "other"), "other")
        if kill_leader:
            leader = other.brokers._nodes.leader(0)
            kafka.nodes[leader - 1].kill()
        await other.log.append(0, other.log.epochs[0], [Record("g", 2, b'{"other":2}')])
        os.kill(zombie.pid, signal.SIGCONT)
        assert await zombie.said() == "fenced"
        await other.in_mode("kafka")
        assert await in_kafka(other) == [("g", 1), ("g", 2)]
    finally:
        await zombie.end()
        await other.close()
