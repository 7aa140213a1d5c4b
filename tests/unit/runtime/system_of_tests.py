"""One shard at a time on a log in memory, with a router that finds it."""

import asyncio
from contextlib import asynccontextmanager

import msgspec
from memory import MemoryLog, MemoryStore
from tally_game import State, behaviour

from runtime.asks import Ask, Packed
from runtime.partition import Partition
from runtime.router import Router
from runtime.settings import RouterSettings, ShardSettings
from runtime.shard import Shard
from runtime.table import Route, RoutingTable

SECRET = b"a secret of the tests"


class Directory:
    """What a router asks the coordinator, answered with whatever table `table` returns."""

    def __init__(self, table) -> None:
        self._table = table
        self.suspects = []

    async def routes(self) -> RoutingTable:
        return self._table()

    async def suspect(self, address) -> None:
        self.suspects.append(address)

    async def describe(self):
        return {}


class System:
    """One shard at a time, and one router that finds it."""

    def __init__(self, settings: ShardSettings) -> None:
        self.settings = settings
        self.log = MemoryLog()
        self.store = MemoryStore()
        self.table = RoutingTable(0, ())
        self.directory = Directory(lambda: self.table)
        self.router = Router("test", SECRET, RouterSettings(), self.directory)
        self.epoch = 0
        self.shard: Shard | None = None

    async def take_over(self) -> Shard:
        """Start a shard that owns both partitions at the next epoch."""
        self.epoch += 1
        shard = Shard(
            f"s/{self.epoch}",
            {"tally": behaviour},
            (self.log, self.store),
            self.router,
            SECRET,
            self.settings,
        )
        address = await shard.start("127.0.0.1")
        for partition in range(2):
            await shard.open(partition, self.epoch)
        self.table = RoutingTable(
            self.epoch, [Route(p, self.epoch, "s", address) for p in range(2)]
        )
        self.shard = shard
        return shard

    def partition(self, game: str) -> Partition:
        """The partition in which a game lives."""
        return next(p for p in self.shard.partitions.values() if game in p.cells)

    async def do(self, game: str, command: str, user: str | None = "ann", key=None, **fields):
        kind = "tally" if command == "create" else None
        ask = Ask(game, command, msgspec.json.encode(fields), user, key, kind)
        return await self.router.ask(ask, 3.0)

    async def total(self, game: str) -> State:
        packed = await self.router.state(game, 3.0)
        assert isinstance(packed, Packed)
        return behaviour.unpack(packed.state)


@asynccontextmanager
async def running(**settings):
    system = System(ShardSettings(**{"save_every": 0.01, **settings}))
    await system.take_over()
    await system.router.start()
    try:
        yield system
    finally:
        await system.router.close()
        await system.shard.stop(1.0)


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


class Ear:
    def __init__(self) -> None:
        self.heard: list[int] = []
        self.presences: list[dict] = []

    def on_event(self, seq: int, data: bytes) -> None:
        assert msgspec.json.decode(data)["seq"] == seq
        self.heard.append(seq)

    def on_presence(self, data: bytes) -> None:
        self.presences.append(msgspec.json.decode(data))
