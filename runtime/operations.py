"""What operators do to a running cluster: scale, drain, weigh, rebalance, restart.

Each verb changes the plan and waits until the cluster has followed; the partitions move by the one
hand-off that crashes use, too. One operation runs at a time. A plan survives the coordinator: after
its end half-way the partitions still move, and the next one carries a restart on. Only the waiting
is lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

from persistence.log import LogError
from runtime.host import Peers
from runtime.ownership import Ownership
from runtime.plan import Plan
from runtime.rolling import GatewayRestart
from runtime.told import Told

_log = logging.getLogger(__name__)
_PAUSE_S = 0.1
_STUCK_S = 60.0
_STOP_S = 15.0


class Scale(Struct, frozen=True, tag="scale", forbid_unknown_fields=True):
    """Have `count` shards: shard-0 up to shard-(count - 1)."""

    count: int


class Drain(Struct, frozen=True, tag="drain", forbid_unknown_fields=True):
    """Empty a shard; with `undo` let it have its share again."""

    shard: str
    undo: bool = False


class Weigh(Struct, frozen=True, tag="weigh", forbid_unknown_fields=True):
    """Give a shard another share of the partitions: 1.0 is an ordinary machine."""

    shard: str
    weight: float


class Rebalance(Struct, frozen=True, tag="rebalance", forbid_unknown_fields=True):
    """Pin partitions to shards, or (`reset`) leave all to the ring again."""

    moves: Sequence[tuple[int, str]] = ()
    reset: bool = False


class Restart(Struct, frozen=True, tag="restart", forbid_unknown_fields=True):
    """Restart every shard and gateway, one after another, each shard emptied before."""


Verb = Scale | Drain | Weigh | Rebalance | Restart
decode = msgspec.json.Decoder(Verb).decode


class Refusal(Exception):  # noqa: N818  (what an operator gets)
    """The operation isn't begun: it's unsafe, or impossible. The message says why."""


class Progress(Told, Struct):
    """How far the newest operation is; `left` of `of` partitions are still on their way."""

    verb: str
    state: str = "running"
    detail: str = ""
    left: int = 0
    of: int = 0


class Cluster(Protocol):
    """What operations need of the coordinator."""

    ownership: Ownership

    async def replan(self, plan: Plan) -> None:
        """Store a plan and follow it."""
        ...

    def gateways(self) -> Sequence[str]:
        """Return the names of the gateways."""
        ...

    def refused(self) -> Mapping[str, str]:
        """Return the members that can't take part as they are, each with the reason."""
        ...


class Operations:
    """Runs one operation at a time."""

    def __init__(self, cluster: Cluster, peers: Peers) -> None:
        """Change the plan of `cluster`; restart services through `peers`."""
        self._cluster = cluster
        self._peers = peers
        self._running: asyncio.Task[None] | None = None
        self.progress: Progress | None = None

    def begin(self, verb: Verb) -> Progress:
        """Begin an operation in the background; its progress is in `progress`.

        Raises:
            Refusal: If it's unsafe or impossible now; nothing was changed.
        """
        if self._running is not None and not self._running.done():
            assert self.progress is not None
            raise Refusal(f"{self.progress.verb} is still running: {self.progress.detail}.")
        return self._start(verb, self._plan(verb))

    def resume(self) -> None:
        """Carry a restart on that another coordinator has begun."""
        if self._cluster.ownership.plan.rolling is not None:
            self._start(Restart(), None)

    def _start(self, verb: Verb, plan: Plan | None) -> Progress:
        name = str(type(verb).__struct_config__.tag)
        self.progress = Progress(name, of=len(self._cluster.ownership.rows))
        self._running = asyncio.create_task(self._run(verb, plan, self.progress))
        return self.progress

    # --- what is asked, and whether it's safe ------------------------------------------------

    def _plan(self, verb: Verb) -> Plan:
        """Return the plan that the verb makes."""
        plan = self._cluster.ownership.plan
        match verb:
            case Scale(count):
                if not 1 <= count <= len(self._cluster.ownership.rows):
                    rows = len(self._cluster.ownership.rows)
                    raise Refusal(f"There can be 1 to {rows} shards: {rows} partitions exist.")
                if count < len(plan.shards):
                    self._check_present()
                return plan.scaled(count)
            case Drain(shard, undo):
                self._check_known(shard)
                if not undo:
                    self._check_present()
                    self._check_others(shard)
                return plan.drained(shard, draining=not undo)
            case Weigh(shard, weight):
                self._check_known(shard)
                if not 0.01 <= weight <= 100:
                    raise Refusal("A weight is from 0.01 to 100.")
                return plan.weighed(shard, weight)
            case Rebalance(moves, reset):
                return self._pins(plan.unpinned() if reset else plan, moves)
            case Restart():
                self._check_present()
                # First those that serve nothing as they are: perhaps the others can't be emptied
                # without.
                refused = self._cluster.refused()
                shards = sorted(plan.shards, key=lambda name: name not in refused)
                return plan.restarted([*shards, *self._cluster.gateways()])

    def _pins(self, plan: Plan, moves: Sequence[tuple[int, str]]) -> Plan:
        for partition, shard in moves:
            self._check_known(shard)
            if not 0 <= partition < len(self._cluster.ownership.rows):
                raise Refusal(f"There is no partition {partition}.")
            plan = plan.pinned(partition, shard)
        return plan

    def _check_known(self, shard: str) -> None:
        if shard not in self._cluster.ownership.plan.shards:
            known = ", ".join(self._cluster.ownership.plan.shards)
            raise Refusal(f"There is no shard {shard!r}; there are {known}.")

    def _check_present(self) -> None:
        states = {beat.name: state for beat, state in self._cluster.ownership.members()}
        for name in self._cluster.ownership.plan.shards:
            if states.get(name, "missing") in {"missing", "silent"}:
                raise Refusal(f"{name} doesn't answer just now: wait until it's back.")

    def _check_others(self, shard: str) -> None:
        shards = self._cluster.ownership.plan.shards
        if all(plan.draining for name, plan in shards.items() if name != shard):
            raise Refusal(f"{shard} is the last shard that takes games. Scale up first.")

    # --- doing it ----------------------------------------------------------------------------

    async def _run(self, verb: Verb, plan: Plan | None, progress: Progress) -> None:
        try:
            if plan is not None and plan is not self._cluster.ownership.plan:
                await self._replan(plan)
            if isinstance(verb, Restart):
                if plan is None:
                    await self._settle(progress, "another coordinator carries on")
                await self._restart(progress)
            await self._settle(progress, "partitions move")
        except TimeoutError:
            progress.state = "failed"
            progress.detail = f"nothing moved for {_STUCK_S:.0f} s while {progress.detail}"
        except Refusal as no:
            progress.state, progress.detail = "failed", str(no)
        except LogError as error:
            progress.state, progress.detail = "failed", f"the store doesn't answer: {error}"
        except Exception as error:  # noqa: BLE001  (nobody else hears of it)
            _log.exception("an operation failed")
            progress.state, progress.detail = "failed", f"{type(error).__name__}: {error}"
        else:
            progress.state, progress.detail = "done", ""
        if progress.state == "failed" and self._cluster.ownership.plan.rolling is not None:
            await self._abandon()

    async def _abandon(self) -> None:
        """A restart has failed: whoever was emptied for it gets its share again."""
        try:
            await self._replan(self._cluster.ownership.plan.restarted(()))
        except LogError as error:
            _log.warning("a restart that failed is carried on by the next coordinator: %s", error)

    async def _replan(self, plan: Plan) -> None:
        # Every plan follows the present one: an operation may make several.
        version = self._cluster.ownership.plan.version + 1
        await self._cluster.replan(msgspec.structs.replace(plan, version=version))

    async def _settle(self, progress: Progress, detail: str) -> None:
        """Wait until every partition is served by whom it belongs to, and leavers have left."""
        ownership = self._cluster.ownership

        def left() -> int:
            missing = ownership.plan.shards.keys() ^ {beat.name for beat, _ in ownership.members()}
            return ownership.unsettled + len(missing)

        await self._wait(progress, detail, left)

    async def _wait(self, progress: Progress, detail: str, left: Callable[[], int]) -> None:
        """Wait until nothing is left.

        Raises:
            TimeoutError: If for a minute the number doesn't fall.
        """
        progress.detail = detail
        loop = asyncio.get_running_loop()
        least, since = left() + 1, loop.time()
        while (now := left()) > 0:
            progress.left = now
            if now < least:
                least, since = now, loop.time()
            elif loop.time() - since > _STUCK_S:
                raise TimeoutError
            await asyncio.sleep(_PAUSE_S)
        progress.left = 0

    async def _restart(self, progress: Progress) -> None:
        """Restart whoever is left, in order; the plan says who, should we end before that."""
        gateways = GatewayRestart(self._cluster, self._peers)
        while (rolling := self._cluster.ownership.plan.rolling) is not None and rolling.left:
            name, *left = rolling.left
            if name in self._cluster.ownership.plan.shards:
                await self._restart_shard(name, progress)
            elif name in self._cluster.gateways():
                await gateways.restart(name, progress, self._check_fit)
            await self._replan(self._cluster.ownership.plan.restarted(left))
            self._check_fit(name)
            await self._settle(progress, f"{name} takes its share")
        await gateways.even_out()

    async def _restart_shard(self, name: str, progress: Progress) -> None:
        ownership = self._cluster.ownership
        alone = all(s.draining for n, s in ownership.plan.shards.items() if n != name)
        if not ownership.plan.shards[name].draining and not alone:
            await self._replan(ownership.plan.emptied(name))
        if not alone:
            await self._wait(progress, f"{name} is emptied", lambda: ownership.holdings(name))
        progress.detail = f"{name} starts anew"
        before = self._incarnation(name)
        await self._peers.restart(name, _STOP_S)
        await self._wait(
            progress,
            f"{name} starts anew",
            lambda: int(self._incarnation(name) in {before, ""}),
        )

    def _check_fit(self, name: str) -> None:
        if why := self._cluster.refused().get(name):
            raise Refusal(f"{name} can't take part: {why}")

    def _incarnation(self, name: str) -> str:
        members = self._cluster.ownership.members()
        return next((beat.incarnation for beat, _ in members if beat.name == name), "")
