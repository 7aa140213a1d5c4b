"""What a take-over takes with and without hot state, real Postgres and Valkey, one process:

    python tests/service/runtime/measure_take_over.py [GAMES [MOVES [MOVED]]]

GAMES games over 16 partitions, MOVES moves each. The worst case: no snapshot holds any of them, but
all are in the hot state, and after that was written MOVED games had one more move. Then the owner
ends without a word, and another one opens all partitions and answers for every game.
"""

import asyncio
import gc
import random
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import uvloop

import actors.chess as chess
from persistence.installation import Installation, install
from persistence.local.postgres import LocalPostgres
from persistence.local.valkey import LocalValkey
from persistence.postgres import PostgresStores
from persistence.redis_hot_state import RedisHotState
from runtime.partitions import partition_of
from runtime.settings import ShardSettings
from runtime.shard import Shard
from runtime.wire import CommandIn, StateIn

PARTITIONS = 16
LINE = [
    "e2e4",
    "e7e5",
    "g1f3",
    "b8c6",
    "f1b5",
    "a7a6",
    "b5a4",
    "g8f6",
    "e1g1",
    "f8e7",
    "f1e1",
    "b7b5",
    "a4b3",
    "d7d6",
    "c2c3",
    "e8g8",
]
NEVER = 1e6
FIRST = 2000
"""Asked at once: what a second of moves asks for."""
SETTINGS = ShardSettings(
    snapshot_events=10_000, save_idle_after=NEVER, warm_every=NEVER, passivate_after=NEVER,
    checkpoint_every=NEVER, doubt_after=NEVER,
)  # fmt: skip


class Asker:
    """Takes answers, and notes when the last one came."""

    def __init__(self) -> None:
        self.waiting: set[int] = set()
        self.number = 0
        self.all = asyncio.Event()
        self.times: list[float] = []
        self.odd: set[str] = set()

    def expect(self) -> int:
        self.number += 1
        self.waiting.add(self.number)
        self.all.clear()
        return self.number

    def push(self, message) -> None:
        reply = getattr(message, "reply", 0)
        if reply in self.waiting:
            self.waiting.discard(reply)
            self.times.append(time.monotonic())
            if (kind := type(message).__name__) not in ("DoneOut", "EventOut", "PackedOut"):
                self.odd.add(f"{kind} {getattr(message, 'detail', '')}")
            if not self.waiting:
                self.all.set()


def command(asker: Asker, game: str, name: str, user: str, **fields) -> CommandIn:
    body, kind = msgspec.json.encode(fields), "chess" if name == "create" else None
    number, partition = asker.expect(), partition_of(game, PARTITIONS)
    return CommandIn(number, partition, game, name, body, user, None, kind, name == "create", 0, 0)


async def everywhere(shard: Shard, asker: Asker, games: list[str], name: str, user: str, **fields):
    for n, game in enumerate(games):
        ask = command(asker, game, name, user, **fields)
        shard.partitions[ask.partition].command(asker, ask)
        if n % 500 == 499:
            await asyncio.sleep(0)
    await asker.all.wait()
    assert not asker.odd, asker.odd


async def play(shard: Shard, asker: Asker, games: list[str], first: int, last: int) -> None:
    for ply in range(first, last):
        user = ("ann", "bob")[ply % 2]
        await everywhere(shard, asker, games, "move", user, uci=LINE[ply], ply=ply)


async def begin(dsn: str, url: str | None) -> tuple[Shard, PostgresStores]:
    stores = PostgresStores(dsn)
    shard = Shard("s", {"chess": chess}, (stores.log, stores.snapshots), None, b"", SETTINGS)
    shard.hot = RedisHotState(url) if url is not None else None
    await shard.start("127.0.0.1")
    return shard, stores


async def assign(stores: PostgresStores) -> list[tuple[int, int]]:
    rows = await stores.assignments.read()
    given = [await stores.assignments.assign(row.partition, "s", row.epoch) for row in rows]
    return [(row.partition, row.epoch) for row in given]


async def crash(shard: Shard, stores: PostgresStores) -> None:
    for task in list(shard._tasks):
        task.cancel()
    for partition in shard.partitions.values():
        partition.close()
    shard.partitions.clear()
    shard._server.close()
    if shard.hot is not None:
        await shard.hot.close()
    await stores.close()
    gc.collect()


async def ask_all(shard: Shard, asker: Asker, games: list[str]) -> None:
    for game in games:
        ask = StateIn(asker.expect(), partition_of(game, PARTITIONS), game)
        shard._readings[ask.partition].state(asker, ask)
        if asker.number % 100 == 0:
            await asyncio.sleep(0)
    await asker.all.wait()


async def take_over(dsn: str, url: str | None, games: list[str]) -> None:
    shard, stores = await begin(dsn, url)
    pairs = await assign(stores)
    cpu, began = time.process_time(), time.monotonic()
    await asyncio.gather(*(shard.open(*pair) for pair in pairs))
    opened = time.monotonic() - began
    asker = Asker()
    asked = random.sample(games, len(games))
    await ask_all(shard, asker, asked[:FIRST])
    first = max(asker.times) - began
    await ask_all(shard, asker, asked[FIRST:])
    times = sorted(asker.times)
    assert not asker.odd, asker.odd
    assert len(times) == len(games)
    served = sum(p.warming is not None and p.warming.served for p in shard.partitions.values())
    print(  # noqa: T201
        f"{'with' if url else 'without'} hot state: all {PARTITIONS} partitions open in"
        f" {opened:.2f} s ({served} from it); {FIRST} games that are asked at once then have"
        f" answered after {first:.2f} s, all {len(games)} after {times[-1] - began:.2f} s;"
        f" CPU {time.process_time() - cpu:.2f} s",
        flush=True,
    )
    await crash(shard, stores)


async def measure(dsn: str, url: str, count: int, moves: int, moved: int) -> None:
    games = [f"game{n:06}" for n in range(count)]
    shard, stores = await begin(dsn, url)
    for pair in await assign(stores):
        await shard.open(*pair)
    asker, began = Asker(), time.monotonic()
    await everywhere(shard, asker, games, "create", "ann", color="white", clock={"days": 3})
    await everywhere(shard, asker, games, "join", "bob")
    await play(shard, asker, games, 0, moves)
    events = sum(p.journal.end for p in shard.partitions.values())
    print(f"{events} events in {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201
    cpu, began = time.process_time(), time.monotonic()
    for partition in shard.partitions.values():
        await partition.revived.wait()
        await partition.warming.turn(shard.hot)
    print(  # noqa: T201
        f"all written to the hot state in {time.monotonic() - began:.1f} s,"
        f" CPU {time.process_time() - cpu:.2f} s",
        flush=True,
    )
    await play(shard, asker, random.sample(games, moved), moves, moves + 1)
    await crash(shard, stores)
    for _ in range(2):
        await take_over(dsn, url, games)
        await take_over(dsn, None, games)


def main() -> None:
    count, moves, moved = (int(a) for a in [*sys.argv[1:], "50000", "6", "2000"][:3])
    with tempfile.TemporaryDirectory(prefix="gameshard-mt-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server, valkey = LocalPostgres(Path(folder) / "pg"), LocalValkey(Path(folder) / "vk")
        server.start()
        valkey.start()
        try:
            install(server.dsn, Installation("measure", PARTITIONS))
            uvloop.run(measure(server.dsn, valkey.url, count, moves, moved))
        finally:
            valkey.stop()
            server.stop()


if __name__ == "__main__":
    main()
