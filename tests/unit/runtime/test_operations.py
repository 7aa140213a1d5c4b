"""A restart of everybody, and what becomes of it when it's interrupted or fails."""

import asyncio
from types import SimpleNamespace

import pytest

from persistence.log import Unavailable
from runtime.operations import Operations, Restart
from runtime.plan import Plan, Rolling

NAMES = ["shard-0", "shard-1", "gateway-0", "gateway-1"]


class Ownership:
    """Shards that are emptied and filled as soon as the plan says so."""

    def __init__(self, cluster: "Cluster") -> None:
        self._cluster = cluster
        self.rows = range(8)
        self.unsettled = 0

    @property
    def plan(self) -> Plan:
        return self._cluster.plan

    def members(self):
        lives = self._cluster.lives
        return [
            (SimpleNamespace(name=name, incarnation=f"{name}/{lives[name]}"), "serving")
            for name in self.plan.shards
        ]

    def holdings(self, name: str) -> int:
        return 0 if self.plan.shards[name].draining else 4


class Cluster:
    """The store's plan, and every process; they outlive any coordinator."""

    def __init__(self) -> None:
        self.plan = Plan().scaled(2)
        self.lives = dict.fromkeys(NAMES, 0)
        self.drained: list[list[str]] = []
        self.deaf = ""
        self.stuck = asyncio.Event()
        self.away = False
        self.ownership = Ownership(self)

    async def replan(self, plan: Plan) -> None:
        if self.away:
            raise Unavailable("away")
        assert plan.version == self.plan.version + 1
        self.plan = plan

    def gateways(self):
        return NAMES[2:]

    def refused(self):
        return {}

    async def call(self, _name, method, *_args, timeout=5.0):
        return {"ready": True, "sockets": 0}.get(method)

    async def restart(self, name, timeout):
        self.drained.append([n for n, shard in self.plan.shards.items() if shard.draining])
        if name == self.deaf:
            self.stuck.set()
            await asyncio.Event().wait()
        self.lives[name] += 1

    def coordinator(self) -> Operations:
        operations = Operations(self, self)
        operations.resume()
        return operations


async def over(operations: Operations) -> str:
    assert operations._running is not None
    async with asyncio.timeout(10):
        await asyncio.wait([operations._running])
    assert operations.progress is not None
    return operations.progress.state


async def test_everybody_is_restarted_once_and_each_shard_empty():
    """Shards come before gateways, and afterwards the plan is as it was."""
    cluster = Cluster()
    shards = cluster.plan.shards
    operations = cluster.coordinator()
    operations.begin(Restart())
    assert await over(operations) == "done"
    assert cluster.lives == dict.fromkeys(NAMES, 1)
    assert cluster.drained == [["shard-0"], ["shard-1"], [], []]
    assert (cluster.plan.shards, cluster.plan.rolling) == (shards, None)


@pytest.mark.parametrize("at", NAMES)
async def test_another_coordinator_carries_on(at):
    """Wherever the first one ends, the next restarts whoever is left, and nobody stays empty."""
    cluster = Cluster()
    shards = cluster.plan.shards
    cluster.deaf = at
    first = cluster.coordinator()
    first.begin(Restart())
    async with asyncio.timeout(10):
        await cluster.stuck.wait()
    assert first._running is not None
    first._running.cancel()
    await asyncio.wait([first._running])
    cluster.deaf = ""
    second = cluster.coordinator()
    assert await over(second) == "done"
    assert cluster.lives == dict.fromkeys(NAMES, 1)
    assert (cluster.plan.shards, cluster.plan.rolling) == (shards, None)
    assert cluster.coordinator().progress is None


async def test_an_operators_own_drain_outlives_a_restart():
    """A shard that was drained before stays so, whoever carries the restart on."""
    cluster = Cluster()
    cluster.plan = cluster.plan.drained("shard-1")
    operations = cluster.coordinator()
    operations.begin(Restart())
    assert await over(operations) == "done"
    assert cluster.lives == dict.fromkeys(NAMES, 1)
    assert [n for n, shard in cluster.plan.shards.items() if shard.draining] == ["shard-1"]


async def test_a_restart_that_fails_leaves_nobody_empty(monkeypatch):
    """It's over: its shard has its share again, and no later coordinator carries it on."""
    monkeypatch.setattr("runtime.operations._STUCK_S", 0.0)
    cluster = Cluster()
    shards = cluster.plan.shards
    cluster.ownership.holdings = lambda _name: 4
    operations = cluster.coordinator()
    operations.begin(Restart())
    assert await over(operations) == "failed"
    assert (cluster.plan.shards, cluster.plan.rolling) == (shards, None)
    assert cluster.lives == dict.fromkeys(NAMES, 0)


async def test_while_the_store_is_away_a_failed_restart_stays_to_be_carried_on():
    """What can't be stored isn't over."""
    cluster = Cluster()
    cluster.plan = cluster.plan.restarted(["gateway-1"])
    cluster.away = True
    operations = cluster.coordinator()
    assert await over(operations) == "failed"
    assert cluster.plan.rolling == Rolling(["gateway-1"])
    cluster.away = False
    assert await over(cluster.coordinator()) == "done"
    assert cluster.plan.rolling is None
