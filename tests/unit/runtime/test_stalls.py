"""Neither an append that takes long nor an owner that stands still is charged to anybody."""

import asyncio
import json
from time import monotonic, time

import pytest
from system_of_tests import running, until

from runtime.partition import Partition
from runtime.table import Route, RoutingTable
from runtime.wire import CommandIn


@pytest.mark.parametrize(("ago", "excused"), [(7.0, True), (0.0, False)])
async def test_an_append_that_takes_long_is_an_outage(ago, excused):
    """An event that was seen seven seconds late has its game's next told of them, once; a quick one doesn't."""
    async with running() as system:
        await system.do("g1", "create")
        await system.do("g1", "add", amount=1)
        system.log.hold()
        late = asyncio.ensure_future(system.do("g1", "add", amount=2))
        await until(lambda: system.log.held)
        partition = system.partition("g1")
        partition.cells["g1"].at -= int(1000 * ago)  # as if so much time had gone by
        partition.journal._flight_since -= ago
        system.log.let_go()
        await late
        for amount in (3, 4):
            await system.do("g1", "add", amount=amount)
        total = await system.total("g1")
        assert total.total == 10
        assert total.dead_ms // 1000 == (7 if excused else 0)


@pytest.mark.parametrize(("paused", "excused"), [(7.0, True), (0.0, False)])
async def test_an_owner_that_stood_still_charges_nobody(paused, excused):
    """What came while a shard was stopped is executed after its games were told of the pause."""
    async with running() as system:
        await system.do("g1", "create")
        partition = system.partition("g1")
        partition.cells["g1"].at -= int(1000 * paused)  # as if so much time had gone by
        system.shard._awake = monotonic() - paused
        for amount in (3, 4):
            await system.do("g1", "add", amount=amount)
        total = await system.total("g1")
        assert total.total == 7
        assert total.dead_ms // 1000 == (7 if excused else 0)


async def test_a_command_that_waits_for_its_first_owner_tells_how_long():
    """A gateway says how long it held a command, also if nobody was there when it came."""
    async with running() as system:
        await system.do("g1", "create")
        held, dispatch = [], system.shard.dispatch

        def hear(link, messages):
            held.extend(each.held_ms for each in messages if type(each) is CommandIn)
            return dispatch(link, messages)

        system.shard.dispatch = hear
        await system.do("g1", "add", amount=1)
        nobody = [Route(each.partition, 8, "s", None) for each in system.table.routes]
        system.router.route(RoutingTable(8, nobody))
        late = asyncio.ensure_future(system.do("g1", "add", amount=1))
        await until(lambda: system.router._asks._waiting)
        for pending in system.router._asks._waiting.values():
            pending.since -= 2.0  # as if so much time had gone by
        system.router.route(RoutingTable(9, system.table.routes))
        await late
        assert [each // 1000 for each in held] == [0, 2]


async def test_an_outage_lasts_until_its_partition_is_ready(monkeypatch):
    """From a claim that ends an outage to the first command nobody is charged, either."""
    async with running() as system:
        await system.do("g1", "create")
        now, old = int(time() * 1000), system.shard
        # The game's log knows it from just now; the owner that claims was dead for a second, and
        # takes five more until it serves.
        system.log.outages, system.log.at = [(now + 1000, now + 2000)], now + 2000
        own = Partition.now
        monkeypatch.setattr(Partition, "now", lambda self: max(own(self), now + 7000))
        await system.take_over()
        await old.stop(0.1)
        system.router.route(system.table)
        assert (await system.total("g1")).dead_ms == 6000


@pytest.mark.parametrize("step", [-3600, 3600])
async def test_an_owner_whose_clock_is_wrong_goes_by_the_logs(step, monkeypatch):
    """Between an owner and the next, whose wall clock was stepped, a game's time goes on as it should."""
    async with running() as system:
        await system.do("g1", "create")
        old = system.shard
        system.log.at = int(time() * 1000)
        monkeypatch.setattr("runtime.partition.time", lambda: time() + step)
        await system.take_over()
        await old.stop(0.1)
        for partition in system.shard.partitions.values():
            assert abs(partition.now() - time() * 1000) < 60_000


async def test_a_pause_that_several_find_out_is_excused_once():
    """A shard that stands still with an append under way notices it twice; the time is the same."""
    async with running() as system:
        await system.do("g1", "create")
        await system.do("g1", "add", amount=1)
        system.log.hold()
        late = asyncio.ensure_future(system.do("g1", "add", amount=2))
        await until(lambda: system.log.held)
        partition = system.partition("g1")
        partition.cells["g1"].at -= 7000  # as if so much time had gone by
        partition.journal._flight_since -= 7
        system.shard._wake(monotonic() + 7)
        system.shard._awake = monotonic()
        system.log.let_go()
        await late
        await system.do("g1", "add", amount=3)
        assert 6900 <= (await system.total("g1")).dead_ms < 8000


async def test_a_deadline_that_was_due_in_a_pause_is_met_after_it():
    """What rings first when a shard wakes up isn't decided before the pause is noted."""
    async with running() as system:
        await system.do("g1", "create", wake_after=60_000)
        partition = system.partition("g1")
        cell = partition.cells["g1"]
        cell.at -= 70_000  # as if so much time had gone by
        cell.state.deadline -= 70_000
        system.shard._awake = monotonic() - 70
        partition.own_time._ring("g1")
        await until(lambda: len(system.log.records[partition.id]) > 1)
        kinds = [json.loads(record.value)["type"] for record in system.log.records[partition.id]]
        assert kinds == ["Created", "Slept"]


async def test_time_that_a_gateway_held_a_command_and_that_is_excused_counts_once():
    """Eight of the ten seconds without an owner a gateway held the command: ten are excused."""
    async with running() as system:
        await system.do("g1", "create")
        partition = system.partition("g1")
        cell, now = partition.cells["g1"], partition.now()
        cell.at = now - 20_000
        partition.own_time.excuse(now - 10_000, now)
        assert partition.own_time.beside(cell, 8_000) <= 100
        assert 1_900 <= partition.own_time.beside(cell, 12_000) <= 2_100
