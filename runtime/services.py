"""The shard and the coordinator as services: their stores, their beats, their place in Ray."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from time import monotonic, time
from typing import Any
from uuid import uuid4

import msgspec

from actors.behaviour import Behaviour
from persistence.log import LogError
from persistence.redis_hot_state import RedisHotState
from persistence.redis_routes import RedisRoutes
from runtime.asks import Ask, Away, Done, GameError, Packed, Refused
from runtime.behaviours import load
from runtime.config import COORDINATOR, ClusterConfig
from runtime.coordinator import Coordinator, Standing
from runtime.describe import describe
from runtime.formats import Unfit, offers
from runtime.host import Peers, own_address
from runtime.mirror import mirror
from runtime.operations import Operations, Progress, Refusal, decode
from runtime.orders import Beat
from runtime.router import Router
from runtime.shard import Shard
from runtime.stores import open_stores
from runtime.supervisor import Supervisor
from runtime.table import RoutingTable

_log = logging.getLogger(__name__)
_TRIM_S = 600.0
_HUNG = 3
"""A coordinator that lives, but leaves so many beats in a row unanswered, is ended."""


class RemoteDirectory:
    """The coordinator, as the router called `name` asks it."""

    def __init__(self, name: str, peers: Peers, behaviours: Mapping[str, Behaviour]) -> None:
        """Ask by `peers`; say that games of `behaviours` can be read here."""
        self._name = name
        self._peers = peers
        self._offers = offers(behaviours)
        self._refused = ""

    async def routes(self) -> RoutingTable:
        """See `runtime.router.Directory`. Who is refused gets a table of nothing."""
        here = self._peers.here
        try:
            return await self._peers.call(
                COORDINATOR, "subscribe", self._name, here, self._offers, timeout=1.0
            )
        except Unfit as refused:
            if str(refused) != self._refused:
                self._refused = str(refused)
                _log.warning("%s can't take part: %s", self._name, refused)
            return RoutingTable(0, ())

    async def suspect(self, address: tuple[str, int]) -> None:
        """See `runtime.router.Directory`."""
        await self._peers.call(COORDINATOR, "suspect", address, timeout=1.0)

    async def describe(self) -> dict[str, object]:
        """See `runtime.router.Directory`."""
        return await self._peers.call(COORDINATOR, "describe", timeout=2.0)

    async def operate(self, verb: bytes) -> Progress:
        """See `runtime.router.Directory`."""
        return await self._peers.call(COORDINATOR, "operate", verb, timeout=5.0)


def make_router(
    name: str, peers: Peers, config: ClusterConfig, behaviours: Mapping[str, Behaviour]
) -> Router:
    """Return a router that asks the coordinator for its table, for who has `behaviours`."""
    tls = config.tls.context(server=False) if config.tls else None
    directory = RemoteDirectory(name, peers, behaviours)
    return Router(name, config.secret, config.router, directory, tls)


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
        self._behaviours = load(self._config.games)
        self._stores = await open_stores(self._config, self._behaviours.values())
        self._losing: set[asyncio.Task[None]] = set()
        self._router = make_router(self._name, self._peers, self._config, self._behaviours)
        self._shard = Shard(
            self.incarnation,
            self._behaviours,
            (self._stores.log, self._stores.snapshots),
            self._router,
            self._config.secret,
            self._config.shard,
        )
        self._shard.on_lost = self._lost
        self._shard.formats = self._stores.formats.read
        redis = self._config.redis
        self._hot = self._shard.hot = RedisHotState(redis) if redis is not None else None
        self._refused = ""
        tls = self._config.tls.context(server=True) if self._config.tls else None
        self._address = await self._shard.start(self._config.host or own_address(), tls)
        self._beating = asyncio.create_task(self._beat())
        await self._router.start()

    def _lost(self, partition: int, epoch: int) -> None:
        losing = asyncio.create_task(self._peers.call(COORDINATOR, "lost", partition, epoch))
        self._losing.add(losing)
        losing.add_done_callback(self._told)

    def _told(self, losing: asyncio.Task[None]) -> None:
        self._losing.discard(losing)
        if not losing.cancelled() and (error := losing.exception()) is not None:
            _log.debug("nobody to tell of a lost partition: %s", error)  # the next beats tell it

    async def _beat(self) -> None:
        """Say that we live, and hear what is still ours, for ever."""
        timing, unanswered = self._config.ownership, 0
        standing: Standing | None = None
        while True:
            asked_at = monotonic()
            try:
                standing = await self._say_beat(timing.silence)
            except TimeoutError:
                unanswered += 1
                if unanswered == _HUNG and standing is not None and timing.kill_hung:
                    _log.warning("the coordinator hangs: it's killed")
                    await self._peers.end(standing.coordinator)
            except Exception as error:  # noqa: BLE001  (the coordinator is away: games go on)
                _log.debug("no beat: %s", error)
            else:
                unanswered = 0
                for partition, epoch in standing.lapsed:
                    self._shard.lapse(partition, epoch)
                self._shard.lease.renew(asked_at)
                self._hear(standing)
            await asyncio.sleep(max(0.0, asked_at + timing.beat - monotonic()))

    def _hear(self, standing: Standing) -> None:
        self._shard.write(standing.formats)
        if standing.refused and standing.refused != self._refused:
            _log.warning("%s can't take part: %s", self._name, standing.refused)
        self._refused = standing.refused

    async def _say_beat(self, timeout: float) -> Standing:
        status = self._shard.status()
        partitions = self._shard.partitions.values()
        beat = Beat(
            self._name,
            self.incarnation,
            self._address,
            self._peers.here.node,
            self._peers.here.pid,
            [(partition.id, partition.epoch) for partition in partitions],
            status,
            self._shard.offers,
        )
        return await self._peers.call(COORDINATOR, "beat", beat, timeout=timeout)

    async def vigil(self, incarnation: str) -> bool:
        """Never answer, as long as this is `incarnation`: Ray tells the asker when it ends."""
        if incarnation == self.incarnation:
            await asyncio.Event().wait()
        return False

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

    async def release(self, partition: int, epoch: int) -> None:
        """Give a partition up in order."""
        await self._shard.release(partition, epoch, 0.8 * self._config.ownership.hand_off)

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
        if self._hot is not None:
            await self._hot.close()
        await self._router.close()
        await self._stores.close()


class CoordinatorService:
    """The coordinator with its store."""

    def __init__(self, name: str, peers: Peers, config: ClusterConfig) -> None:
        """Prepare; there's one per cluster, so `name` says nothing."""
        del name
        self._peers = peers
        self._config = config
        self._others: list[dict[str, object]] = []

    async def start(self) -> None:
        """Read the assignments, and see to it that the shards of the plan run."""
        stores = self._stores = await open_stores(self._config)
        coordinator = Coordinator(self._config, stores.assignments, stores.formats, self._peers)
        await coordinator.start()
        self._coordinator = coordinator
        self._operations = Operations(coordinator, self._peers)
        self._operations.resume()
        supervisor = Supervisor(coordinator.ownership, self._peers, self._config)
        self._supervising = asyncio.create_task(supervisor.run())
        self._trimming = asyncio.create_task(self._trim())
        self._copy: RedisRoutes | None = None
        if self._config.redis is not None:
            self._copy = RedisRoutes(self._config.redis)
            self._copying = asyncio.create_task(mirror(coordinator.routes, self._copy))

    async def describe(self) -> dict[str, object]:
        """Return the body of GET /shards."""
        return await describe(self._coordinator, self._operations, self._peers, self._others)

    def operate(self, verb: bytes) -> Progress:
        """Begin an operation, given as JSON; GET /shards shows how far it is.

        Raises:
            Refusal: If it's unsafe, impossible, or not understood.
        """
        try:
            return self._operations.begin(decode(verb))
        except (msgspec.DecodeError, RecursionError) as error:
            raise Refusal(f"This isn't an operation: {error}") from error

    async def resize(self, shards: int) -> None:
        """Have so many shards from now on."""
        plan = self._coordinator.ownership.plan
        if len(plan.shards) != shards:
            await self._coordinator.replan(plan.scaled(shards))

    def settled(self) -> bool:
        """Return whether every shard of the plan is there, and every partition where it belongs."""
        ownership = self._coordinator.ownership
        present = {beat.name for beat, state in ownership.members() if state != "silent"}
        return not ownership.unsettled and present >= ownership.plan.shards.keys()

    def keeps(self, secret: bytes) -> bool:
        """Return whether this is the cluster of `secret`."""
        return secret == self._config.secret

    def note_processes(self, processes: list[dict[str, object]]) -> None:
        """Remember processes that only whoever started them knows, for GET /shards."""
        self._others = processes

    def rest(self) -> list[str]:
        """Assign and launch nothing more; return the shards that run."""
        self._supervising.cancel()
        self._coordinator.rest()
        return [beat.name for beat, _ in self._coordinator.ownership.members()]

    async def _trim(self) -> None:
        """Drop what the log needs to keep no longer, every now and then."""
        while True:
            await asyncio.sleep(_TRIM_S)
            try:
                before = (time() - self._config.retention_days * 24 * 3600) * 1000
                await self._stores.trim(int(before))
            except LogError as error:
                _log.warning("the log isn't trimmed: %s", error)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the coordinator's."""
        return getattr(self._coordinator, name)

    async def stop(self) -> None:
        """Assign nothing more."""
        self._trimming.cancel()
        self._supervising.cancel()
        await self._coordinator.stop()
        if self._copy is not None:
            self._copying.cancel()
            await self._copy.close()
        await self._stores.close()
