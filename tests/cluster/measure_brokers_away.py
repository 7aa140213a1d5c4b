"""What players notice of three brokers' trouble: one killed, and all away for a minute, under load.

    python tests/cluster/measure_brokers_away.py [GAMES [PACE [SECONDS]]]

GAMES games at PACE moves a second on a whole system whose log is a Kafka of three nodes (each record
on three, acknowledged by two). One node gets SIGKILL and is started again; then all three get
SIGSTOP for SECONDS. `gameshard bench recovery` compares all acknowledgements with the games; in the
end the topic is read from its beginning, and must have all of every game's events once, in order.
Ends with 1 if anything is wrong.
"""

import asyncio
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx
from aiokafka import AIOKafkaConsumer
from fix_system import System

from persistence.local.kafka import LocalKafka

TOPIC = "game-events"


def besiege(url: str, during: str, games: int, pace: float) -> bool:
    """Play on the system while the shell command `during` runs; return whether all was well."""
    command = [
        *(sys.executable, "-m", "gateway.cli", "bench", "recovery", "--url", url),
        *("--games", str(games), "--pace", str(pace), "--during", during, "--watch", "20"),
    ]
    print(f"--- {during}", flush=True)  # noqa: T201
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    print(done.stdout[-4000:], done.stderr[-1000:], f"exit code {done.returncode}", flush=True)  # noqa: T201
    return done.returncode == 0


async def read(kafka: str) -> tuple[Counter[str], int]:
    """Read the whole topic; return each game's newest seq, and how many events were out of place."""
    last: Counter[str] = Counter()
    misplaced = 0
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
                    if "seq" not in headers:  # a claim
                        continue
                    game, seq = record.key.decode(), int(headers["seq"])
                    assert headers["ce_id"] == f"{game}:{seq}".encode()
                    misplaced += seq != last[game] + 1
                    last[game] = seq
    return last, misplaced


def drained(url: str) -> None:
    """Wait until no shard has anything in the outbox."""
    until = time.monotonic() + 60
    while any(shard["log"]["in_outbox"] for shard in httpx.get(f"{url}/shards").json()["shards"]):
        assert time.monotonic() < until
        time.sleep(0.5)


def whole(url: str, kafka: str) -> bool:
    """Compare the topic with what players are shown of its games; return whether all is well."""
    last, misplaced = asyncio.run(read(kafka))
    with httpx.Client(base_url=url, timeout=30) as http:
        lacking = sum(http.get(f"/games/{game}").json()["seq"] != seq for game, seq in last.items())
    print(  # noqa: T201
        f"the topic: {last.total():,} events of {len(last):,} games; {misplaced} not once or not "
        f"in order, {lacking} games with another end than players see",
        flush=True,
    )
    return not misplaced and not lacking


def main(games: int = 400, pace: float = 500.0, seconds: float = 60.0) -> int:
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
            well = besiege(system.url, f"kill -9 {kafka.nodes[1].pid}", games, pace)
            kafka.start()
            pids = shlex.join(str(node.pid) for node in kafka.nodes)
            away = f"kill -STOP {pids}; sleep {seconds:g}; kill -CONT {pids}"
            well &= besiege(system.url, away, games, pace)
            drained(system.url)
            well &= whole(system.url, kafka.address)
        finally:
            print("the system ended with", system.stop())  # noqa: T201
            kafka.stop()
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(
        main(*(type_(word) for type_, word in zip((int, float, float), sys.argv[1:], strict=False)))
    )
