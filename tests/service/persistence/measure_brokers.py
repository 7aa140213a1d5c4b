"""What Kafka costs its client: `python tests/service/persistence/measure_brokers.py [SECONDS a row]`.

CPU is this process's, encoding and decoding included. 8 partitions on one broker, uvloop: each has
one batch under way all the time ("busy"), or gets one every 4 ms ("paced": 2,000 batches a second).
"""

import asyncio
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

import uvloop

from persistence.kafka.brokers import Brokers, Settings
from persistence.kafka.outcomes import Acked
from persistence.local.kafka import LocalKafka
from persistence.log import Record

PARTITIONS = 8
PACE_S = 0.004
VALUE = (
    b'{"type":"MovePlayed","game":"xxxxxxxxxxxx","seq":7,"at":"2026-11-24T11:15:19.123Z","ply":6,'
    b'"uci":"e2e4","by":"white","white_ms":300000,"black_ms":300000}'
)


class Row:
    """One run: how many records, how long each append took."""

    def __init__(self, brokers: Brokers, size: int, paced: bool, seconds: float) -> None:
        self._brokers, self._paced, self._seconds = brokers, paced, seconds
        self._batch = [Record("xxxxxxxxxxxx", 7, VALUE, b"k" * 8)] * size
        self._waits: list[float] = []

    async def run(self) -> str:
        producers = [await self._brokers.init_producer(p) for p in range(PARTITIONS)]
        begun, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(self._append(p, producers[p]) for p in range(PARTITIONS)))
        took, cpu = time.perf_counter() - begun, time.process_time() - cpu
        waits, records = sorted(self._waits), len(self._waits) * len(self._batch)
        return (
            f"{len(self._batch):5} {'paced' if self._paced else 'busy':6}"
            f"{records / took:9.0f} {1e6 * cpu / records:8.1f} {1e3 * waits[len(waits) // 2]:8.2f}"
            f" {1e3 * waits[len(waits) * 99 // 100]:8.2f}"
        )

    async def _append(self, partition: int, producer) -> None:
        size, now = len(self._batch), time.perf_counter
        ends = now() + self._seconds
        due = now() + PACE_S * partition / PARTITIONS
        for batch in count():
            if self._paced:
                await asyncio.sleep(max(0.0, due - now()))
                due += PACE_S
            if (begun := now()) > ends:
                return
            told = await self._brokers.produce(partition, producer, batch * size, self._batch, 1)
            assert isinstance(told, Acked), told
            self._waits.append(now() - begun)


async def reading(brokers: Brokers) -> str:
    """A replay of partition 0."""
    end = await brokers.end_offset(0)
    begun, cpu, found = time.perf_counter(), time.process_time(), 0
    async for piece in brokers.read(0, max(0, end - 200_000), end):
        found += len(piece)
    took, cpu = time.perf_counter() - begun, time.process_time() - cpu
    return f"read: {found} records, {found / took:.0f}/s, {1e6 * cpu / found:.1f} us of CPU each"


async def measure(address: str, seconds: float, in_flight: int) -> None:
    brokers = await Brokers.connect(address, "measured", Settings(in_flight=in_flight))
    await brokers.ensure_topic(PARTITIONS, 1, 3_600_000, 1)
    await Row(brokers, 10, paced=False, seconds=2).run()  # until Java is warm
    rows = [f"{in_flight} requests in flight", "batch      records/s  us CPU     p50 ms   p99 ms"]
    for size, paced in ((1, False), (10, False), (100, False), (1, True), (10, True)):
        rows += [await Row(brokers, size, paced, seconds).run()]
    rows.append(await reading(brokers))
    await brokers.close()
    print("\n".join(rows), flush=True)  # noqa: T201  (its purpose)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 4.0
    in_flight = [int(each) for each in sys.argv[2:]] or [Settings().in_flight]
    with tempfile.TemporaryDirectory(prefix="gameshard-kafka-") as folder:
        kafka = LocalKafka(Path(folder))
        kafka.start()
        try:
            for each in in_flight:
                uvloop.run(measure(kafka.address, seconds, each))
        finally:
            kafka.kill()


if __name__ == "__main__":
    main()
