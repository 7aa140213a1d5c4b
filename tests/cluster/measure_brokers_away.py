"""What players notice of three brokers' trouble: one killed, and all away for a minute, under load.

    python tests/cluster/measure_brokers_away.py [GAMES [PACE [SECONDS]]]

GAMES games at PACE moves a second on a whole system whose log is a Kafka of three nodes (each record
on three, acknowledged by two). One node gets SIGKILL and is started again; then all three get
SIGSTOP for SECONDS. `gameshard bench recovery` compares all acknowledgements with the games; in the
end the topic is read from its beginning, and every game's events must be there once, in order.
"""

import asyncio
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from aiokafka import AIOKafkaConsumer
from fix_system import System

from persistence.local.kafka import LocalKafka

TOPIC = "game-events"


def besiege(url: str, during: str, games: int, pace: float) -> None:
    """Play on the system while the shell command `during` runs, and say what came of it."""
    command = [
        *(sys.executable, "-m", "gateway.cli", "bench", "recovery", "--url", url),
        *("--games", str(games), "--pace", str(pace), "--during", during, "--watch", "20"),
    ]
    print(f"--- {during}", flush=True)  # noqa: T201
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    print(done.stdout[-4000:], done.stderr[-1000:], f"exit code {done.returncode}", flush=True)  # noqa: T201


async def topic(kafka: str) -> None:
    """Read the whole topic; say whether each game's events are there once and in order."""
    last: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    claims = unordered = 0
    consumer = AIOKafkaConsumer(
        TOPIC, bootstrap_servers=kafka, auto_offset_reset="earliest",
        isolation_level="read_committed",
    )  # fmt: skip
    async with consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        while [place for place, end in ends.items() if await consumer.position(place) < end]:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    headers = dict(record.headers)
                    if "seq" not in headers:
                        claims += 1
                        continue
                    game, seq = record.key.decode(), int(headers["seq"])
                    seen[headers["ce_id"].decode()] += 1
                    unordered += seq != last[game] + 1
                    last[game] = seq
    twice = sum(count > 1 for count in seen.values())
    print(  # noqa: T201
        f"the topic: {len(seen):,} events of {len(last):,} games, {claims} claims; "
        f"{twice} more than once, {unordered} not in order",
        flush=True,
    )


def main(games: int = 400, pace: float = 500.0, seconds: float = 60.0) -> None:
    """Do both, then read the topic."""
    with tempfile.TemporaryDirectory(prefix="gameshard-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        kafka = LocalKafka(folder / "kafka", nodes=3)
        kafka.start()
        system = System(
            folder / "data", "--kafka", kafka.address, "--shards", "2", "--partitions", "16"
        )
        try:
            besiege(system.url, f"kill -9 {kafka.nodes[1].pid}", games, pace)
            kafka.start()
            pids = shlex.join(str(node.pid) for node in kafka.nodes)
            away = f"kill -STOP {pids}; sleep {seconds:g}; kill -CONT {pids}"
            besiege(system.url, away, games, pace)
            time.sleep(20)  # what the outbox has is drained
            asyncio.run(topic(kafka.address))
        finally:
            print("the system ended with", system.stop())  # noqa: T201
            kafka.stop()


if __name__ == "__main__":
    main(*(type_(word) for type_, word in zip((int, float, float), sys.argv[1:], strict=False)))
