"""Which shards run: those of the plan are launched, those that have left it are emptied and ended.

Ray starts a shard again that ends by itself; this is about which there shall be.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from runtime.config import COORDINATOR, ClusterConfig
from runtime.host import Needs, Peers
from runtime.machines import roomiest
from runtime.ownership import Ownership

_log = logging.getLogger(__name__)
_TICK_S = 0.25
_STOP_S = 15.0
SHARD = "runtime.services:ShardService"
_CALM = f"{COORDINATOR}:calm"


class Supervisor:
    """Follows the plan."""

    def __init__(self, ownership: Ownership, peers: Peers, config: ClusterConfig) -> None:
        """Launch shards with `config`, whatever the plan of `ownership` names."""
        self._ownership = ownership
        self._peers = peers
        self._config = config
        self._launched: dict[str, str] = {}
        """Each shard, and the machine that was chosen for it; empty if none was."""
        self._busy: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Follow the plan until cancelled."""
        while True:
            wanted = set(self._ownership.plan.shards)
            for name in sorted(wanted - self._launched.keys() - self._busy):
                self._begin(name, self._launch(name))
            for beat, _ in self._ownership.members():
                idle = not self._ownership.holdings(beat.name)
                if beat.name not in wanted | self._busy and idle:
                    self._begin(beat.name, self._retire(beat.name))
            await asyncio.sleep(_TICK_S)

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._busy.add(name)
        task = asyncio.create_task(self._attend(name, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attend(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001  (however Ray fails: it's tried again)
            _log.warning("shard %s: %s", name, error)
        finally:
            self._busy.discard(name)

    async def _launch(self, name: str) -> None:
        cpus, resource = self._config.shard_cpus, self._config.ray.shards_on
        # Who takes CPUs of Ray's account is spread by Ray, which knows what is left.
        node = "" if cpus else await self._choose(resource)
        self._launched[name] = node
        try:
            await self._peers.launch(SHARD, name, self._config, Needs(cpus, resource, node, _CALM))
        except BaseException:
            del self._launched[name]
            raise

    async def _choose(self, resource: str) -> str:
        machines = await self._peers.machines()
        nodes = {
            **self._launched,
            **{beat.name: beat.node for beat, _ in self._ownership.members()},
        }
        return roomiest(machines, list(nodes.values()), resource)

    async def _retire(self, name: str) -> None:
        self._launched.pop(name, None)
        await self._peers.retire(name, _STOP_S)
