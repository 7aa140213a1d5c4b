"""The coordinator: performs what `runtime.ownership` decides, and tells everybody.

It's not on the way of any command. While it's away, games go on; when it comes back, the truth is
in the store, and the shards' next beats tell it who is there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple

from msgspec import Struct, json

from persistence.assignments import AssignmentStore, Conflict
from persistence.formats import FormatStore
from persistence.log import LogError
from runtime.config import ClusterConfig
from runtime.formats import Agreement, Formats, Offers, Unfit
from runtime.host import Peers, Process
from runtime.orders import Action, Assign, Beat, Kill, Open, Release
from runtime.ownership import Ownership
from runtime.plan import Plan
from runtime.table import RoutingTable
from runtime.told import Told

_log = logging.getLogger(__name__)
_PROBE_S = 0.25
_PAUSE_S = 0.1
_AGREE_S = 1.0
_ROUTE_S = 1.0
_DEAF = 4
"""A listener that hasn't asked for so many times the silence of a shard is forgotten."""


class Standing(Told, Struct, frozen=True):
    """What a shard is told in answer to its beat.

    Attributes:
        lapsed: What (partition, epoch) it thinks to serve, and has another owner now.
        coordinator: Whom to end if it answers no more although it lives.
        version: Of the newest routing table.
        formats: Which versions it may write.
        refused: Why it's given no partitions; empty if it is.
    """

    lapsed: Sequence[tuple[int, int]]
    coordinator: Process
    version: int
    formats: Formats = {}
    refused: str = ""


class _Listener(NamedTuple):
    process: Process
    seen: float
    offers: Offers


class Coordinator:
    """Membership and assignment. One per cluster; a second one would only lose compare-and-sets."""

    def __init__(
        self,
        config: ClusterConfig,
        store: AssignmentStore,
        formats: FormatStore,
        peers: Peers,
    ) -> None:
        """Assign the partitions in `store`; reach the services through `peers`."""
        self._config = config
        self._store = store
        self._formats = formats
        self._peers = peers
        self._changed = asyncio.Event()
        self._listeners: dict[str, _Listener] = {}
        self._told: RoutingTable | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._watched: set[str] = set()
        self._agreeing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the assignments and begin to supervise."""
        self._loop = asyncio.get_running_loop()
        self._term = term = await self._store.begin_term()
        version, data = await self._store.read_plan()
        plan = json.decode(data, type=Plan) if version else Plan()
        rows = await self._store.read()
        self.ownership = Ownership(rows, plan, self._config.ownership, term, self._loop.time())
        self.ownership.agreement = Agreement(await self._formats.read())
        if not version:
            await self.replan(plan.scaled(self._config.shards or 1))
        self._deciding = self._spawn(self._decide_forever())

    async def stop(self) -> None:
        """Decide nothing more."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def rest(self) -> None:
        """Assign nothing more, but go on answering: everything is about to stop."""
        self._deciding.cancel()

    async def replan(self, plan: Plan) -> None:
        """Store a new plan, then follow it.

        Raises:
            persistence.log.LogError: If it isn't known to be stored.
        """
        await self._store.write_plan(plan.version, json.encode(plan))
        self.ownership.plan = plan
        self._changed.set()

    # --- what the services tell and ask ------------------------------------------------------

    def beat(self, beat: Beat) -> Standing:
        """Take a shard's sign of life."""
        lapsed = self.ownership.beat(self._loop.time(), beat)
        if beat.incarnation not in self._watched:
            _log.info("shard %s is %s", beat.name, beat.incarnation)
            self._watched.add(beat.incarnation)
            self._spawn(self._watch(beat))
            self._changed.set()
        agreement = self.ownership.agreement
        version, refused = self.ownership.table.version, agreement.refusal(beat.offers)
        return Standing(lapsed, self._peers.here, version, agreement.formats, refused)

    def subscribe(self, name: str, process: Process, offers: Offers) -> RoutingTable:
        """Return the table, and tell `name` of every later one; it asks again every second.

        Raises:
            Unfit: If it couldn't read what it would be sent.
        """
        self._listeners[name] = _Listener(process, self.ownership.lived, offers)
        if why := self.ownership.agreement.refusal(offers):
            raise Unfit(why)
        return self.ownership.table

    def routes(self) -> RoutingTable:
        """Return the table."""
        return self.ownership.table

    def gateways(self) -> Sequence[str]:
        """Return the names of the gateways that there shall be."""
        return self._config.gateway_names()

    def gateway_processes(self) -> dict[str, Process]:
        """Return the processes of the gateways that were heard lately."""
        names = self.gateways()
        return {name: each.process for name, each in self._listeners.items() if name in names}

    def formats(self) -> dict[str, dict[str, object]]:
        """Return what is written of each kind of game, and who keeps it from rising."""
        return self.ownership.agreement.report(*self._members())

    def refused(self) -> dict[str, str]:
        """Return the members that can't take part as they are, each with the reason."""
        refusal, (members, _) = self.ownership.agreement.refusal, self._members()
        return {name: why for name, offers in members.items() if (why := refusal(offers))}

    def lost(self, partition: int, epoch: int) -> None:
        """A shard says that it serves `partition` no longer."""
        _log.warning("partition %d was lost at epoch %d", partition, epoch)
        self.ownership.lost(partition, epoch)
        self._spawn(self._look(partition))

    async def suspect(self, address: tuple[str, int]) -> None:
        """A gateway's link to a shard broke: perhaps its process has ended."""
        for beat, _ in self.ownership.members():
            if tuple(beat.address) == tuple(address):
                await self._probe(beat)

    async def calm(self, name: str) -> bool:
        """Return whether shard `name`, of which another life has ended, may start anew now."""
        for beat, _ in self.ownership.members():
            if beat.name == name:
                await self._probe(beat)
        return self.ownership.calm(name)

    # --- how ends are noticed ----------------------------------------------------------------

    async def _watch(self, beat: Beat) -> None:
        """Wait until Ray says that a shard's process has ended."""
        while beat.incarnation in {each.incarnation for each, _ in self.ownership.members()}:
            try:
                same = await self._peers.call(beat.name, "vigil", beat.incarnation, timeout=3600.0)
            except TimeoutError:
                continue
            except Exception as error:  # noqa: BLE001  (however Ray says so)
                _log.info("shard %s: %s", beat.incarnation, type(error).__name__)
                if await self._probe(beat):
                    return
                await asyncio.sleep(_PAUSE_S)
            else:
                if not same:  # another life of the shard answers to its name
                    self._gone(beat)

    async def _probe(self, beat: Beat) -> bool:
        """Return whether a shard's process has surely ended: nobody listens where it did."""
        try:
            async with asyncio.timeout(_PROBE_S):
                _, writer = await asyncio.open_connection(*beat.address)
        except ConnectionRefusedError:
            self._gone(beat)
            return True
        except (OSError, TimeoutError):
            return False  # its machine is silent: so are its beats, and they decide
        writer.close()
        return False

    def _gone(self, beat: Beat) -> None:
        self.ownership.gone(beat.incarnation)
        self._changed.set()

    # --- deciding and performing -------------------------------------------------------------

    async def _decide_forever(self) -> None:
        while True:
            self._changed.clear()
            self._perform(self.ownership.step(self._loop.time()))
            if self._told is not self.ownership.table:
                self._told = self.ownership.table
                for name, each in self._listeners.items():
                    if not self.ownership.agreement.refusal(each.offers):
                        self._spawn(self._tell(name, self._told))
            self._agree()
            try:
                async with asyncio.timeout(self._config.ownership.beat / 2):
                    await self._changed.wait()
            except TimeoutError:
                self._forget_listeners()

    def _members(self) -> tuple[dict[str, Offers], set[str]]:
        """Return what everybody offers who is there, and the names of those who aren't."""
        shards = {b.name: b.offers for b, state in self.ownership.members() if state != "silent"}
        listeners = {name: each.offers for name, each in self._listeners.items()}
        missing = self.ownership.plan.shards.keys() - shards.keys()
        return {**listeners, **shards}, missing | (set(self.gateways()) - listeners.keys())

    def _agree(self) -> None:
        """Let the formats rise as far as everybody can read them. The first shard founds them."""
        if (self._agreeing is None or self._agreeing.done()) and self.ownership.members():
            formats = self.ownership.agreement.next(*self._members())
            if formats is not None:
                self._agreeing = self._spawn(self._rise(formats))

    async def _rise(self, formats: Formats) -> None:
        try:
            await self._formats.rise(self._term, formats)
        except LogError as error:
            _log.warning("%s isn't agreed: %s", formats, error)
            await asyncio.sleep(_AGREE_S)
        else:
            _log.info("written from now on: %s", formats)
            self.ownership.agreement.confirm(formats)
        self._changed.set()

    def _perform(self, actions: Sequence[Action]) -> None:
        opening: dict[str, list[tuple[int, int]]] = {}
        for action in actions:
            match action:
                case Release():
                    self._spawn(self._release(action))
                case Assign():
                    self._spawn(self._assign(action))
                case Open(partition, epoch, owner):
                    opening.setdefault(owner, []).append((partition, epoch))
                case Kill(beat):
                    _log.warning("shard %s hangs: it's killed", beat.incarnation)
                    self._spawn(self._peers.end(Process(beat.node, beat.pid)))
        for owner, pairs in opening.items():
            self._spawn(self._open(owner, pairs))

    async def _release(self, action: Release) -> None:
        name = action.owner.partition("/")[0]
        try:
            timeout = self._config.ownership.hand_off
            await self._peers.call(name, "release", action.partition, action.epoch, timeout=timeout)
        except Exception as error:  # noqa: BLE001  (then it's a take-over without its help)
            _log.warning("%s doesn't release %d: %s", name, action.partition, error)
        self.ownership.released(action.partition, action.epoch)
        self._changed.set()

    async def _assign(self, action: Assign) -> None:
        try:
            row = await self._store.assign(action.partition, action.owner, action.expected)
        except Conflict as conflict:
            self.ownership.found(conflict.found)
        except LogError as error:
            _log.warning("partition %d isn't assigned: %s", action.partition, error)
            await self._look(action.partition)
        else:
            self.ownership.assigned(row)
        self._changed.set()

    async def _look(self, partition: int) -> None:
        """Read what the store holds, until it can be read."""
        while True:
            try:
                rows = await self._store.read()
            except LogError:
                await asyncio.sleep(_PAUSE_S)
            else:
                self.ownership.found(rows[partition])
                self._changed.set()
                return

    async def _open(self, owner: str, pairs: Sequence[tuple[int, int]]) -> None:
        done: Sequence[Any] = ()
        try:
            name, timeout = owner.partition("/")[0], self._config.ownership.opening
            done = await self._peers.call(name, "open", owner, pairs, timeout=timeout)
        except Exception as error:  # noqa: BLE001  (however a peer can fail: at another epoch)
            _log.warning("%s doesn't open %s: %s", owner, pairs, error)
        opened = {tuple(pair) for pair in done}
        for partition, epoch in pairs:
            self.ownership.opened(partition, epoch, done=(partition, epoch) in opened)
        self._changed.set()

    async def _tell(self, name: str, table: RoutingTable) -> None:
        try:
            await self._peers.call(name, "route", table, timeout=_ROUTE_S)
        except Exception as error:  # noqa: BLE001  (it asks by itself)
            _log.debug("%s didn't take the table: %s", name, error)

    def _forget_listeners(self) -> None:
        """Listeners ask every second. A gateway that doesn't may hang: then it's killed."""
        timing = self._config.ownership
        oldest = self.ownership.lived - _DEAF * timing.silence
        for name, each in list(self._listeners.items()):
            if each.seen < oldest:
                del self._listeners[name]
                if timing.kill_hung and name in self.gateways():
                    _log.warning("%s hangs: it's killed", name)
                    self._spawn(self._peers.end(each.process))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a task of the coordinator failed", exc_info=error)
