"""The coordinator: knows the shards, gives each its partitions, tells the gateways.

It's not on the way of any command. While it's away, games go on; when it comes back, the truth is
in the store, and the shards' next beats tell it who is there.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from persistence.assignments import Assignment, AssignmentStore, Conflict
from persistence.log import LogError
from runtime.config import ClusterConfig
from runtime.host import Peers
from runtime.ring import place
from runtime.table import Route, RoutingTable

_log = logging.getLogger(__name__)
BEAT_S = 0.5
"""A shard says so often that it lives."""
SILENCE_S = 3.0
"""A shard that is silent for so long counts as dead. It may live: fencing makes that harmless."""
_GATHER_S = 5.0
"""A new coordinator waits so long for all known shards before it moves anything."""


class Beat(Struct, frozen=True):
    """What a shard tells of itself."""

    name: str
    incarnation: str
    address: tuple[str, int]
    node: str
    weight: float
    status: dict[str, object]


class Coordinator:
    """Membership and assignment. One per cluster; a second one would only lose compare-and-sets."""

    def __init__(self, config: ClusterConfig, store: AssignmentStore, peers: Peers) -> None:
        """Assign the partitions in `store`; reach the services through `peers`."""
        self._config = config
        self._store = store
        self._peers = peers
        self._members: dict[str, tuple[Beat, float]] = {}
        self._assignments: list[Assignment] = []
        self._table = RoutingTable(0, ())
        self._opened: set[tuple[int, int]] = set()
        self._changed = asyncio.Event()
        self._gateways: dict[str, float] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._processes: list[dict[str, object]] = []

    async def start(self) -> None:
        """Read the assignments and begin to supervise."""
        self._since = asyncio.get_running_loop().time()
        self._assignments = list(await self._store.read())
        self._tasks = [asyncio.create_task(self._balance_forever())]

    async def stop(self) -> None:
        """Assign nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- what the services tell and ask ------------------------------------------------------

    async def beat(self, beat: Beat) -> None:
        """Take a shard's sign of life."""
        known = self._members.get(beat.name)
        self._members[beat.name] = beat, asyncio.get_running_loop().time()
        if known is None or known[0].incarnation != beat.incarnation:
            _log.info("shard %s is %s", beat.name, beat.incarnation)
            self._changed.set()

    async def subscribe(self, gateway: str) -> RoutingTable:
        """Return the table, and tell `gateway` of every later one."""
        self._gateways[gateway] = asyncio.get_running_loop().time()
        return self._table

    async def routes(self) -> RoutingTable:
        """Return the table."""
        return self._table

    async def lost(self, name: str, partition: int) -> None:
        """A shard says that somebody else owns `partition`: look at the store again."""
        _log.warning("shard %s lost partition %d", name, partition)
        self._opened.clear()
        self._changed.set()

    async def note_processes(self, processes: list[dict[str, object]]) -> None:
        """Remember the pids of the processes that aren't ours to know, for GET /shards."""
        self._processes = processes

    async def describe(self) -> dict[str, object]:
        """Return the body of GET /shards."""
        members = sorted(self._members.items())
        shards = await asyncio.gather(*(self._line(beat) for _, (beat, _) in members))
        mine: list[dict[str, object]] = [{"role": "coordinator", "pid": os.getpid()}]
        mine += [{"role": "shard", "pid": shard["pid"]} for shard in shards]
        return {
            "partitions": self._config.partitions,
            "version": self._table.version,
            "shards": shards,
            "processes": mine + self._processes,
        }

    async def _line(self, beat: Beat) -> dict[str, object]:
        """Return a shard's line, as fresh as the shard can give it."""
        try:
            status: Any = await self._peers.call(beat.name, "status", timeout=0.5)
            state = "serving"
        except Exception:  # noqa: BLE001  (however a peer can fail: its last word stands)
            status, state = beat.status, "silent"
        address = f"{beat.address[0]}:{beat.address[1]}"
        return {"name": beat.name, "state": state, "node": beat.node, "address": address, **status}

    # --- assignment --------------------------------------------------------------------------

    async def _balance_forever(self) -> None:
        while True:
            try:
                async with asyncio.timeout(BEAT_S):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            try:
                await self._balance()
            except Conflict:
                self._assignments = list(await self._store.read())
                self._changed.set()
            except LogError as error:
                _log.warning("assignments wait for the store: %s", error)

    def _living(self) -> dict[str, Beat]:
        now = asyncio.get_running_loop().time()
        return {
            name: beat for name, (beat, seen) in self._members.items() if now - seen <= SILENCE_S
        }

    async def _balance(self) -> None:
        """Give every partition to the shard that the ring names, if it isn't there yet."""
        living = self._living()
        expected = set(self._config.shard_names()) | set(self._members)
        age = asyncio.get_running_loop().time() - self._since
        if not living or (age < _GATHER_S and expected - living.keys()):
            return
        owners = place(self._config.partitions, {n: b.weight for n, b in living.items()})
        moves: dict[str, list[int]] = defaultdict(list)
        for current, name in zip(self._assignments, owners, strict=True):
            mine = current.owner == living[name].incarnation
            if not mine or (current.partition, current.epoch) not in self._opened:
                moves[name].append(current.partition)
        if not moves:
            await self._publish(living)
            return
        await asyncio.gather(
            *(self._give(living[name], partitions, living) for name, partitions in moves.items())
        )
        await self._publish(living)

    async def _give(self, to: Beat, partitions: Sequence[int], living: dict[str, Beat]) -> None:
        """Hand partitions to a shard: the old owners release them, the new one opens them."""
        held = {beat.incarnation: beat for beat in living.values()}
        opening: list[tuple[int, int]] = []
        for partition in partitions:
            current = self._assignments[partition]
            if current.owner == to.incarnation and await self._serves(to, current):
                self._opened.add((partition, current.epoch))
                continue
            if current.owner in held and current.owner != to.incarnation:
                await self._release(held[current.owner], partition)
            given = await self._store.assign(partition, to.incarnation, current.epoch)
            self._assignments[partition] = given
            opening.append((partition, given.epoch))
        if not opening:
            return
        try:
            done = await self._peers.call(to.name, "open", to.incarnation, opening, timeout=60.0)
        except Exception as error:  # noqa: BLE001  (however a peer can fail: try again later)
            _log.warning("shard %s doesn't open: %s", to.name, error)
        else:
            self._opened.update((p, e) for p, e in done)

    async def _serves(self, shard: Beat, current: Assignment) -> bool:
        """Return whether a shard serves an assignment already (this coordinator is new)."""
        partitions: Any = shard.status.get("partitions", ())
        return {"id": current.partition, "epoch": current.epoch} in partitions

    async def _release(self, shard: Beat, partition: int) -> None:
        try:
            await self._peers.call(shard.name, "release", partition, timeout=10.0)
        except Exception as error:  # noqa: BLE001  (then it's a take-over without its help)
            _log.warning("shard %s doesn't release %d: %s", shard.name, partition, error)

    async def _publish(self, living: dict[str, Beat]) -> None:
        addresses = {beat.incarnation: (beat.name, beat.address) for beat in living.values()}
        routes: list[Route] = []
        for current in self._assignments:
            name, address = addresses.get(current.owner, ("", None))
            routes.append(Route(current.partition, current.epoch, name, address))
        # Epochs only grow, and every change of an owner is a change of an epoch.
        version = sum(route.epoch for route in routes)
        if version <= self._table.version and list(self._table.routes) == routes:
            return
        self._table = RoutingTable(max(version, self._table.version + 1), routes)
        for gateway in list(self._gateways):
            try:
                await self._peers.call(gateway, "route", self._table, timeout=1.0)
            except Exception as error:  # noqa: BLE001  (it asks by itself)
                _log.warning("gateway %s didn't take the table: %s", gateway, error)
