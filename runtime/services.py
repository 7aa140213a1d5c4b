"""The shard and the coordinator as services: their stores, their beats, their place in Ray."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping
from time import time
from typing import Any
from uuid import uuid4

import msgspec

from persistence.log import LogError
from persistence.postgres import PostgresStores
from runtime.asks import Ask, Away, Done, GameError, Packed, Refused
from runtime.behaviours import load
from runtime.config import COORDINATOR, ClusterConfig
from runtime.coordinator import BEAT_S, Beat, Coordinator
from runtime.host import Peers
from runtime.router import Router
from runtime.shard import Shard
from runtime.table import RoutingTable

_log = logging.getLogger(__name__)
_TRIM_S = 600.0


def make_router(name: str, peers: Peers, config: ClusterConfig) -> Router:
    """Return a router that asks the coordinator for its table."""

    async def refresh() -> RoutingTable:
        return await peers.call(COORDINATOR, "subscribe", name, timeout=1.0)

    async def describe() -> dict[str, object]:
        return await peers.call(COORDINATOR, "describe", timeout=2.0)

    tls = config.tls.context(server=False) if config.tls else None
    return Router(name, config.secret, config.router, refresh, describe, tls)


def _error(answer: Refused | Away) -> GameError:
    if isinstance(answer, Refused):
        return GameError(answer.code, answer.detail)
    return GameError("unavailable", "No owner answered in time; the command may be repeated.")


class ShardService:
    """A shard with its stores, its own router (for effects and handles) and its beats."""

    def __init__(self, name: str, peers: Peers, config: ClusterConfig) -> None:
        """Prepare the shard called `name`."""
        self._name = name
        self._peers = peers
        self._config = config
        self.incarnation = f"{name}/{uuid4().hex[:12]}"

    async def start(self) -> None:
        """Listen, and tell the coordinator; it says what to open."""
        self._stores = PostgresStores(self._config.dsn)
        self._behaviours = load()
        self._router = make_router(self._name, self._peers, self._config)
        self._shard = Shard(
            self.incarnation,
            self._behaviours,
            (self._stores.log, self._stores.snapshots),
            self._router,
            self._config.secret,
            self._config.shard,
        )
        self._shard.on_lost = self._lost
        tls = self._config.tls.context(server=True) if self._config.tls else None
        self._address = await self._shard.start(self._config.host, tls)
        self._beating = asyncio.create_task(self._beat())
        await self._router.start()

    def _lost(self, partition: int) -> None:
        self._losing = asyncio.create_task(
            self._peers.call(COORDINATOR, "lost", self._name, partition)
        )
        self._losing.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _beat(self) -> None:
        while True:
            beat = Beat(
                self._name,
                self.incarnation,
                self._address,
                socket.gethostname(),
                1.0,
                self._shard.status(),
            )
            try:
                await self._peers.call(COORDINATOR, "beat", beat, timeout=2.0)
            except Exception as error:  # noqa: BLE001  (the coordinator is away: games go on)
                _log.debug("no beat: %s", error)
            await asyncio.sleep(BEAT_S)

    async def open(
        self, incarnation: str, partitions: list[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        """Open (partition, epoch) pairs given to `incarnation`; return those that serve."""
        if incarnation != self.incarnation:
            return []
        opened = await asyncio.gather(*(self._open(p, e) for p, e in partitions))
        return [pair for pair, done in zip(partitions, opened, strict=True) if done]

    async def _open(self, partition: int, epoch: int) -> bool:
        try:
            await self._shard.open(partition, epoch)
        except LogError as error:
            _log.warning("partition %d at epoch %d doesn't open: %s", partition, epoch, error)
            return False
        except Exception:  # noqa: BLE001  (reported; the coordinator tries again)
            _log.exception("partition %d at epoch %d doesn't open", partition, epoch)
            return False
        return True

    async def status(self) -> dict[str, object]:
        """Return this shard's line of GET /shards."""
        return self._shard.status()

    async def release(self, partition: int) -> None:
        """Give a partition up in order."""
        await self._shard.release(partition, 5.0)

    async def route(self, table: RoutingTable) -> None:
        """Take a routing table."""
        self._router.route(table)

    async def play(self, ask: Ask, timeout: float) -> Mapping[str, Any]:
        """Send a command to whatever shard owns its game; return the event.

        Raises:
            GameError: If it was refused, or nobody answered.
        """
        answer = await self._router.ask(ask, timeout)
        if isinstance(answer, Done):
            return msgspec.json.decode(answer.data)
        raise _error(answer)

    async def view(self, game: str, viewer: str | None, timeout: float) -> Mapping[str, Any]:
        """Return a game as `viewer` may see it, from whatever shard owns it.

        Raises:
            GameError: If there's no such game, or nobody answered.
        """
        answer = await self._router.state(game, timeout)
        if not isinstance(answer, Packed):
            raise _error(answer)
        behaviour = self._behaviours[answer.kind]
        query = behaviour.queries["state"]()
        view = behaviour.view(behaviour.unpack(answer.state), query, viewer)
        return {**view, "seq": answer.seq}

    async def stop(self) -> None:
        """Release all partitions, so that the next owner has nothing to replay."""
        self._beating.cancel()
        await self._shard.stop(10.0)
        await self._router.close()
        await self._stores.close()


class CoordinatorService:
    """The coordinator with its store."""

    def __init__(self, name: str, peers: Peers, config: ClusterConfig) -> None:
        """Prepare; there's one per cluster, so `name` says nothing."""
        del name
        self._peers = peers
        self._config = config

    async def start(self) -> None:
        """Read the assignments."""
        self._stores = PostgresStores(self._config.dsn)
        self._coordinator = Coordinator(self._config, self._stores.assignments, self._peers)
        await self._coordinator.start()
        self._trimming = asyncio.create_task(self._trim())

    async def _trim(self) -> None:
        """Drop what the log needs to keep no longer, every now and then."""
        while True:
            await asyncio.sleep(_TRIM_S)
            try:
                before = (time() - self._config.retention_days * 24 * 3600) * 1000
                await self._stores.log.trim(int(before))
            except LogError as error:
                _log.warning("the log isn't trimmed: %s", error)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the coordinator's."""
        return getattr(self._coordinator, name)

    async def stop(self) -> None:
        """Assign nothing more."""
        self._trimming.cancel()
        await self._coordinator.stop()
        await self._stores.close()
