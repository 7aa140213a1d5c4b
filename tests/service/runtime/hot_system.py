"""One shard at a time that writes behind to a real Valkey, killed and taken over from at will."""

import asyncio
from contextlib import asynccontextmanager

from memory import MemoryLog
from system_of_tests import SECRET, System, until
from tally_game import behaviour

from persistence.redis_hot_state import RedisHotState
from runtime.settings import ShardSettings
from runtime.shard import Shard
from runtime.table import Route, RoutingTable

NEVER = 1e6


class ToldLog(MemoryLog):
    """A log that notes from where it was read."""

    def __init__(self) -> None:
        super().__init__()
        self.starts: list[tuple[int, int]] = []

    async def read(self, partition, start, end):
        self.starts.append((partition, start))
        async for batch in super().read(partition, start, end):
            yield batch


class HotSystem(System):
    """Games of a tally; nothing is saved or written behind unless a test says so."""

    def __init__(self, url: str, **settings) -> None:
        fields = {"save_every": 0.001, "snapshot_events": 1000, "warm_every": NEVER, **settings}
        super().__init__(ShardSettings(**fields))
        self.log = ToldLog()
        self.hot = RedisHotState(url)

    async def take_over(self) -> Shard:
        """Start a shard that owns both partitions at the next epoch, and wait for its games."""
        self.epoch += 1
        stores = (self.log, self.store)
        shard = Shard(
            f"s/{self.epoch}", {"tally": behaviour}, stores, self.router, SECRET, self.settings
        )
        shard.hot = self.hot
        address = await shard.start("127.0.0.1")
        for partition in range(2):
            await shard.open(partition, self.epoch)
        routes = [Route(p, self.epoch, "s", address) for p in range(2)]
        self.table = RoutingTable(self.epoch, routes)
        self.router.route(self.table)
        self.shard = shard
        return shard

    def crash(self) -> Shard:
        """End the shard as kill -9 does: whatever it hasn't written is lost."""
        shard = self.shard
        for task in list(shard._tasks):
            task.cancel()
        for partition in shard.partitions.values():
            partition.close()
        shard._server.close()
        for link in list(shard._links):
            link.close()
        shard.partitions.clear()
        return shard

    async def fail_over(self) -> Shard:
        self.crash()
        self.log.starts.clear()
        return await self.take_over()

    async def revived(self) -> None:
        for partition in self.shard.partitions.values():
            await partition.revived.wait()

    async def warm(self) -> None:
        """Let every partition write behind what there is."""
        await self.revived()
        for partition in self.shard.partitions.values():
            await partition.warming.turn(self.hot)

    async def save(self, *games: str) -> None:
        """Snapshot these games, and note the checkpoint."""
        for partition in self.shard.partitions.values():
            for game in games:
                if (cell := partition.cells.get(game)) is not None:
                    partition.keeping.save(cell)
                    await until(lambda cell=cell: not cell.saving)
            await self.shard._checkpoint(partition)

    def marks(self) -> dict[int, int]:
        """The offset of each partition's mark, as the shard left it."""
        return {p.id: p.warming.mark.offset for p in self.shard.partitions.values()}

    async def totals(self, games) -> dict[str, int]:
        return {game: (await self.total(game)).total for game in games}


@asynccontextmanager
async def hot_system(url: str, **settings):
    system = HotSystem(url, **settings)
    await system.take_over()
    await system.router.start()
    try:
        yield system
    finally:
        await system.router.close()
        if system.shard.partitions:
            await system.shard.stop(1.0)
        await system.hot.close()
        await asyncio.sleep(0)
