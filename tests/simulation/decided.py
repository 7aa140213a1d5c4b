"""The coordinator as it is: `runtime.ownership` decides, this performs it over a bad network."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from persistence.assignments import Assignment
from runtime import ownership
from runtime.orders import Action, Assign, Beat, Kill, Open, Release
from runtime.plan import Plan, ShardPlan
from runtime.settings import OwnershipTiming
from simulation.world import World

if TYPE_CHECKING:
    from simulation.client import Gateway
    from simulation.system import System


def _remembering(place: Callable[..., Any]) -> Callable[..., Any]:
    """Return the ring's placement, each computed once: it's pure, and most of a seed's time."""
    known: dict[Any, Any] = {}

    def placed(partitions: int, weights: dict[str, float], pins: dict[int, str]) -> Any:
        key = partitions, tuple(weights.items()), tuple(pins.items())
        if key not in known:
            known[key] = place(partitions, weights, pins)
        return known[key]

    return placed


ownership.place = _remembering(ownership.place)
STEP = 20.0
PATIENCE = 160.0


def _timing(world: World) -> OwnershipTiming:
    return OwnershipTiming(
        beat=0.04,
        silence=0.13,
        gather=0.06,
        settle=0.05,
        hand_off=PATIENCE / 1000,
        opening=0.4,
        hand_offs=2,
        kill_hung=world.random() < 0.5,
    )


class Decided:
    """What `simulation.coordinator.Coordinator` is, with the real decisions."""

    def __init__(self, system: System) -> None:
        self.system, self.world = system, system.world
        self.asleep_until = 0.0
        self.numbers = {name: n for n, name in enumerate(system.stores)}
        self.names = list(system.stores)
        self._timing = _timing(self.world)
        self._term = 0
        self._owned: ownership.Ownership | None = None
        self._told: object = None
        self._releasing: dict[tuple[int, int], str] = {}
        self._opening: dict[tuple[int, int], str] = {}
        self.world.at(1.0, self.start)
        self.world.at(STEP, self._step)

    # --- life -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin a new term with what Postgres holds."""
        plan = Plan(shards={name: ShardPlan() for name in self.system.shards})
        self._term += 1
        self._releasing, self._opening = {}, {}
        self._owned = ownership.Ownership(self._rows(), plan, self._timing, self._term, self._now())

    def _rows(self) -> list[Assignment]:
        rows = [stores.row for stores in self.system.stores.values()]
        return [Assignment(n, row.epoch, row.owner) for n, row in enumerate(rows)]

    def _now(self) -> float:
        return self.world.now / 1000

    @property
    def _awake(self) -> bool:
        return self.world.now >= self.asleep_until

    # --- what is told -----------------------------------------------------------------------------

    def beat(
        self,
        name: str,
        incarnation: str,
        status: dict[str, tuple[int, bool]],
        opened: dict[str, int],
    ) -> None:
        """Take a shard's sign of life."""
        owned = self._owned
        if owned is None or not self._awake:
            return
        serving = [(self.numbers[p], epoch) for p, (epoch, serves) in status.items() if serves]
        beat = Beat(name, incarnation, ("", 0), "", 0, serving)
        stale = owned.beat(self._now(), beat)
        for partition, _ in stale:
            shard, life = self.system.shards[name], int(incarnation.partition("/")[2])
            epoch = owned.rows[partition].epoch
            self.world.send(shard.superseded, life, self.names[partition], epoch)
        for (partition, epoch), owner in list(self._opening.items()):
            there = status.get(self.names[partition], (0, False))
            if owner == incarnation and opened.get(self.names[partition], 0) >= epoch:
                if there == (epoch, True):
                    self._opened(partition, epoch, done=True)
                elif there[0] != epoch:
                    self._opened(partition, epoch, done=False)
        for (partition, epoch), owner in list(self._releasing.items()):
            gone = status.get(self.names[partition], (0, False))[0] != epoch
            if owner == incarnation and gone:
                del self._releasing[partition, epoch]
                owned.released(partition, epoch)

    def _opened(self, partition: int, epoch: int, *, done: bool) -> None:
        del self._opening[partition, epoch]
        if self._owned is not None:
            self._owned.opened(partition, epoch, done=done)

    def ended(self, incarnation: str) -> None:
        """A process has ended, which Ray may say sooner or later."""
        if self._owned is not None and self._awake:
            self._owned.gone(incarnation)

    def lost(self, partition: str, epoch: int) -> None:
        """A shard serves a partition no longer."""
        if self._owned is not None and self._awake:
            self._owned.lost(self.numbers[partition], epoch)
            self._look(self.numbers[partition], self._term)

    def ask_routes(self, gateway: Gateway) -> None:
        """Answer a gateway."""
        if self._owned is not None and self._awake:
            self.world.send(gateway.route, self._routes(self._owned))

    def _routes(self, owned: ownership.Ownership) -> dict[str, tuple[int, str]]:
        return {
            name: (row.epoch, row.owner)
            for name, row in zip(self.names, owned.rows, strict=True)
            if owned.table.routes[row.partition].address is not None
        }

    def rude(self, partition: str) -> None:
        """A second coordinator, which knows no better, gives a partition away."""
        shards = [shard for shard in self.system.shards.values() if shard.alive]
        row = self.system.stores[partition].row
        if shards and self.world.now >= self.system.away["postgres"]:
            to = shards[int(self.world.random() * len(shards))]
            epoch = row.epoch
            if row.assign(to.incarnation, epoch):
                self.world.say(f"{partition} is given to {to.incarnation} behind the coordinator")
                self.world.send(to.open, to.life, partition, epoch + 1)

    # --- what is decided --------------------------------------------------------------------------

    def _step(self) -> None:
        self.world.at(STEP, self._step)
        owned = self._owned
        if owned is None or not self._awake:
            return
        weather, random = self.world.weather, self.world.random
        if not self.world.calm and random() < 0.004:
            self.world.say("the coordinator starts anew")
            self.start()
            return
        if weather.moves and not self.world.calm and random() < 0.02:
            pin = self.world.rng.choice(list(self.system.shards))
            owned.plan = owned.plan.pinned(int(random() * len(self.names)), pin)
        for action in owned.step(self._now()):
            self._perform(action)
        if self._told is not owned.table:
            self._told = owned.table
            for gateway in self.system.gateways:
                self.world.send(gateway.route, self._routes(owned))

    def _perform(self, action: Action) -> None:
        if self.world.trace is not None:
            self.world.say(f"coordinator: {action}")
        match action:
            case Assign():
                self.world.send(self._assign, action, self._term)
                self.world.at(60.0, self._look, action.partition, self._term)
            case Open(partition, epoch, owner):
                name, _, life = owner.partition("/")
                self._opening[partition, epoch] = owner
                shard = self.system.shards[name]
                self.world.send(shard.open, int(life), self.names[partition], epoch)
            case Release(partition, epoch, owner):
                name, _, life = owner.partition("/")
                self._releasing[partition, epoch] = owner
                shard = self.system.shards[name]
                self.world.send(shard.release, int(life), self.names[partition], epoch)
            case Kill(beat):
                shard = self.system.shards[beat.name]
                if shard.incarnation == beat.incarnation:
                    shard.crash()

    def _assign(self, action: Assign, term: int) -> None:
        """The compare-and-set, in Postgres. Its answer may be lost."""
        row = self.system.stores[self.names[action.partition]].row
        if self.world.now < self.system.away["postgres"]:
            return
        if row.assign(action.owner, action.expected):
            self.world.say(f"{self.names[action.partition]} is given to {action.owner}")
            self.world.send(
                self._assigned,
                Assignment(action.partition, action.expected + 1, action.owner),
                term,
            )

    def _assigned(self, row: Assignment, term: int) -> None:
        if self._owned is not None and self._awake and term == self._term:
            self._owned.assigned(row)

    def _look(self, partition: int, term: int) -> None:
        """Find out what became of a compare-and-set that wasn't heard of, or was refused."""
        if self._owned is None or term != self._term:
            return
        if not self._awake or self.world.now < self.system.away["postgres"]:
            self.world.at(30.0, self._look, partition, term)
            return
        self._owned.found(self._rows()[partition])
