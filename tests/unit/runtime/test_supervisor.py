"""Which shards are launched, and where."""

import asyncio
from types import SimpleNamespace

from runtime.config import ClusterConfig
from runtime.machines import Machine
from runtime.plan import Plan
from runtime.supervisor import Supervisor


class Peers:
    """Machines, and what was launched on them; some launches fail."""

    def __init__(self, *nodes: str, failing: int = 0) -> None:
        self.nodes = nodes
        self.failing = failing
        self.launched: dict[str, str] = {}

    async def machines(self):
        await asyncio.sleep(0)
        return [Machine(node, 1.0) for node in self.nodes]

    async def launch(self, _factory, name, _config, needs):
        if self.failing:
            self.failing -= 1
            raise TimeoutError
        self.launched[name] = needs.node


def owned(shards: int, present: dict[str, str]) -> SimpleNamespace:
    """What a supervisor knows if of so many shards these are `present`, on their nodes."""
    return SimpleNamespace(
        plan=Plan().scaled(shards),
        members=lambda: [
            (SimpleNamespace(name=name, node=node), "serving") for name, node in present.items()
        ],
        holdings=lambda _name: 1,
    )


async def launched(peers: Peers, shards: int, present: dict[str, str], **config) -> dict[str, str]:
    """Run a supervisor until all shards but those `present` (with their nodes) are launched."""
    ownership = owned(shards, present)
    supervisor = Supervisor(ownership, peers, ClusterConfig(dsn="", secret=b"", **config))
    running = asyncio.ensure_future(supervisor.run())
    async with asyncio.timeout(10):
        while len(peers.launched) < shards:
            await asyncio.sleep(0.001)
    running.cancel()
    return peers.launched


async def test_shards_that_come_together_begin_on_different_machines():
    """Each counts those before it, though none of them is heard yet."""
    found = await launched(Peers("a", "b", "c"), 3, {})
    assert sorted(found.values()) == ["a", "b", "c"]


async def test_a_shard_is_where_it_says():
    """Wherever it was to begin: Ray may have started it anew on another machine."""
    found = await launched(Peers("a", "b"), 3, {"shard-0": "a", "shard-1": "a"})
    assert found["shard-2"] == "b"


async def test_a_launch_that_failed_is_tried_again():
    """And takes no place meanwhile."""
    found = await launched(Peers("a", "b", failing=3), 2, {})
    assert sorted(found.values()) == ["a", "b"]


async def test_ray_spreads_those_that_take_cpus_of_its_account():
    """It knows what is left."""
    assert set((await launched(Peers("a", "b"), 2, {}, shard_cpus=1.0)).values()) == {""}
