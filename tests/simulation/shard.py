"""A shard's process: it crashes, sleeps and wakes, restarts, and its clock goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from persistence.ownership import actions
from persistence.ownership.answers import Unknown
from persistence.ownership.kafka_owner import KafkaOwner
from persistence.ownership.owner import Owner, Settings
from persistence.ownership.postgres_owner import PostgresOwner
from simulation.hosted import Hosted

if TYPE_CHECKING:
    from simulation.system import System

TICK = 15.0
BEAT = 40.0
TIMEOUT = 60.0
"""A request to a store without an answer for so long has an unknown outcome."""
DANGEROUS = {
    actions.InitProducer: 0.3,
    actions.ReadRow: 0.5,
    actions.OpenRow: 0.4,
    actions.NoteProducer: 0.5,
    actions.Load: 0.2,
    actions.LoadOutbox: 0.5,
    actions.SwitchRow: 0.8,
    actions.FinishDrain: 0.8,
    actions.ReadRows: 0.15,
    actions.RaiseVersion: 0.2,
    actions.AppendRows: 0.1,
    actions.AppendLog: 0.12,
    actions.Produce: 0.07,
}
"""Requests around which faults are likely, and how likely, as a share of the seed's danger."""


class Shard:
    """One name; many lives."""

    def __init__(self, system: System, name: str) -> None:
        self.system, self.world, self.name = system, system.world, name
        self.settings = Settings(
            doubt_ms=90.0, probe_ms=50.0, reclaim_ms=150.0 + 1500.0 * self.world.random()
        )
        self.life = 0
        self.incarnation = ""
        self.alive = False
        self.asleep_until = 0.0
        self._backlog: list[tuple[int, Callable[..., None], tuple[Any, ...]]] = []
        self.hosted: dict[str, Hosted] = {}
        self.opened: dict[str, int] = {}
        self._rate, self._shift, self._mark = 1.0, 0.0, 0.0
        self.start()

    # --- life ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin a new life, with an empty memory."""
        self.life += 1
        self.incarnation = f"{self.name}/{self.life}"
        self.alive = True
        self.asleep_until = 0.0
        self.hosted, self.opened, self._backlog = {}, {}, []
        self.world.say(f"{self.incarnation} starts")
        self.world.at(TICK * self.world.random(), self._tick, self.life)
        self.world.at(BEAT * self.world.random(), self._beat, self.life)

    def crash(self) -> None:
        """kill -9. What was sent may still land."""
        if self.alive:
            self.world.say(f"{self.incarnation} crashes")
            self.alive = False
            self.hosted = {}
            self.world.at(80.0 * self.world.random(), self.system.ended, self.incarnation)
            self.world.at(5.0 + 130.0 * self.world.random(), self.start)

    def sleep(self, ms: float) -> None:
        """SIGSTOP, and SIGCONT after `ms`: all that comes meanwhile waits."""
        if self.alive and self.world.now >= self.asleep_until:
            self.world.say(f"{self.incarnation} sleeps for {ms:.0f} ms")
            self.asleep_until = self.world.now + ms
            self.world.at(ms, self._wake, self.life)

    def _wake(self, life: int) -> None:
        if life != self.life or not self.alive:
            return
        self.world.say(f"{self.incarnation} wakes")
        self.asleep_until = 0.0
        backlog, self._backlog = self._backlog, []
        if self.world.random() < 0.5:
            self.world.rng.shuffle(backlog)
        for life_, call, args in backlog:
            self.inbox(life_, call, *args)

    def inbox(self, life: int, call: Callable[..., None], *args: Any) -> None:
        """Let something in: now, when it wakes, or never if that life is over."""
        if life == self.life and self.alive:
            if self.asleep_until:
                self._backlog.append((life, call, args))
            else:
                call(*args)

    def runs(self, hosted: Hosted) -> bool:
        """Whether `hosted` belongs to this life, and it's awake."""
        return (
            self.alive and not self.asleep_until and self.hosted.get(hosted.stores.name) is hosted
        )

    def clock(self) -> float:
        """Return what this process thinks that the time is, in ms."""
        return self._shift + (self.world.now - self._mark) * self._rate

    def bend(self, rate: float, step: float) -> None:
        """Make the clock slow, fast, or jump."""
        self._shift, self._mark = self.clock() + step, self.world.now
        self._rate = rate

    def _tick(self, life: int) -> None:
        if life == self.life and self.alive:
            if not self.asleep_until:
                for hosted in list(self.hosted.values()):
                    hosted.tick()
            self.world.at(TICK, self._tick, life)

    def _beat(self, life: int) -> None:
        if life == self.life and self.alive:
            if not self.asleep_until:
                self.changed()
            self.world.at(BEAT, self._beat, life)

    def changed(self) -> None:
        """Tell the coordinator how things are."""
        status = {
            name: (hosted.owner.epoch, hosted.owner.serving) for name, hosted in self.hosted.items()
        }
        self.world.send(
            self.system.coordinator.beat, self.name, self.incarnation, status, dict(self.opened)
        )

    def tell_breaker(self, away: bool) -> None:
        """Kafka's breaker opens or closes."""
        self.inbox(self.life, self._breaker, away)

    def _breaker(self, away: bool) -> None:
        for hosted in list(self.hosted.values()):
            if isinstance(hosted.owner, KafkaOwner):
                hosted.owner.breaker(away)
                hosted.perform()

    # --- what the coordinator and the gateways say ------------------------------------------------------

    def open(self, life: int, partition: str, epoch: int) -> None:
        """Open a partition: an epoch is opened once, however often one is told to."""
        self.inbox(life, self._open, partition, epoch)

    def _open(self, partition: str, epoch: int) -> None:
        if epoch <= self.opened.get(partition, 0):
            return
        self.opened[partition] = epoch
        before = self.hosted.get(partition)
        if before is not None:
            before.owner.superseded(epoch)
            before.perform()
        stores = self.system.stores[partition]
        kind = PostgresOwner if stores.place == "postgres" else KafkaOwner
        self.hosted[partition] = hosted = Hosted(self, stores, self.owner(kind, epoch))
        self.world.say(f"{hosted} opens")
        hosted.begin()

    def owner(self, kind: type[Owner], epoch: int) -> Owner:
        """Make the owner of a partition."""
        return kind(epoch, self.incarnation, self.settings)

    def superseded(self, life: int, partition: str, epoch: int) -> None:
        """Hear from the coordinator that a partition has another owner."""
        self.inbox(life, self._superseded, partition, epoch)

    def _superseded(self, partition: str, epoch: int) -> None:
        hosted = self.hosted.get(partition)
        if hosted is not None:
            hosted.owner.superseded(epoch)
            hosted.perform()

    def release(self, life: int, partition: str, epoch: int) -> None:
        """Hand a partition over: seal, flush, snapshot, release."""
        self.inbox(life, self._release, partition, epoch)

    def _release(self, partition: str, epoch: int) -> None:
        hosted = self.hosted.get(partition)
        if hosted is not None and hosted.owner.epoch == epoch and hosted.owner.serving:
            self.world.say(f"{hosted} is sealed")
            hosted.owner.seal()
            hosted.perform()

    def command(self, life: int, command: Any) -> None:
        """Execute a client's command."""
        self.inbox(life, self._command, command)

    def _command(self, command: Any) -> None:
        hosted = self.hosted.get(command.partition)
        if hosted is None:
            self.answer(command, "moved", None, 0)
        else:
            hosted.command(command)

    def answer(self, command: Any, what: str, told: Any, epoch: int) -> None:
        """Send an answer to the client's gateway, if anybody asked."""
        if command is not None:
            self.world.send(command.client.answered, command, what, told, epoch)

    def dropped(self, hosted: Hosted) -> None:
        """Host this no more."""
        if self.hosted.get(hosted.stores.name) is hosted:
            del self.hosted[hosted.stores.name]
            self.world.send(self.system.coordinator.lost, hosted.stores.name, hosted.owner.epoch)
            self.changed()

    # --- the stores --------------------------------------------------------------------------------------

    def request(
        self,
        hosted: Hosted,
        store: str,
        request: Any,
        execute: Callable[[], Any],
        then: Callable[[Any], None] | None = None,
    ) -> None:
        """Have a store execute `request`, sooner, later or never; `then` hears of it, or `Unknown`."""
        world, life = self.world, self.life
        then = then or hosted.receive
        delay = world.latency()
        if world.now < world.fault_end:
            weather, fate = world.weather, world.random()
            unknown = Unknown(getattr(request, "number", 0))
            if fate < weather.lost_answers:
                if world.random() < 0.7:
                    world.at(delay, self._land, life, store, request, execute, None)
                world.at(TIMEOUT, self.inbox, life, then, unknown)
                return
            if fate < weather.lost_answers + weather.late:
                late = TIMEOUT + 250.0 * world.random()
                world.at(late, self._land, life, store, request, execute, None)
                world.at(TIMEOUT * world.random(), self.inbox, life, then, unknown)
                return
        world.at(delay, self._land, life, store, request, execute, then)

    def _land(
        self,
        life: int,
        store: str,
        request: Any,
        execute: Callable[[], Any],
        then: Callable[[Any], None] | None,
    ) -> None:
        world = self.world
        if world.now < self.system.away[store]:
            if then is not None:
                unknown = Unknown(getattr(request, "number", 0))
                world.at(10.0 + 40.0 * world.random(), self.inbox, life, then, unknown)
            return
        if then is None and world.trace is not None:
            world.say(f"    {request} of {self.name}.{life} lands, unheard")
        answer = execute()
        if then is not None:
            world.at(world.latency(), self.inbox, life, then, answer)

    def danger(self, kind: type) -> None:
        """Let a fault happen around a dangerous request, more likely than elsewhere."""
        world = self.world
        if world.now < world.fault_end:
            chance = DANGEROUS.get(kind, 0.0) * world.weather.danger
            if chance and world.random() < chance:
                self.system.faults.strike(self)
