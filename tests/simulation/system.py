"""One simulated cluster: made of a seed, run until all is answered, and judged."""

from __future__ import annotations

from persistence.ownership.owner import Owner
from persistence.ownership.postgres_owner import PostgresOwner
from simulation.client import Client, Gateway
from simulation.coordinator import Coordinator
from simulation.decided import Decided
from simulation.faults import Faults
from simulation.kafka import KafkaLog
from simulation.postgres import Partition
from simulation.reader import Reader, merge
from simulation.redis import Cache
from simulation.shard import Shard
from simulation.truth import Truth
from simulation.world import Defect, NotLive, Violation, World

GRACE = 6_000.0
"""So long after the last fault everything has to be well, in simulated ms."""


class PartitionStores:
    """Where one partition is kept."""

    def __init__(self, world: World, truth: Truth, name: str) -> None:
        self.name, self.prefix = name, f"{name}."
        self.kafka = KafkaLog(world, truth, "Kafka")
        self.row = Partition(world, truth, name, world.weather.mode)
        self.cache = Cache(world)
        self.place = "postgres" if world.weather.mode == "log" else "kafka"

    def log(self) -> list:
        """Return the log's entries by offset."""
        return self.row.log if self.place == "postgres" else self.kafka.entries

    def end(self, owner: Owner) -> int:
        """Return an offset that the owner's next event surely isn't below."""
        return owner.head if isinstance(owner, PostgresOwner) else owner.end  # type: ignore[attr-defined]

    def counts(self, owner: Owner) -> bool:
        """Whether the owner counts in offsets of the log just now."""
        return isinstance(owner, PostgresOwner) or owner.phase == "kafka"  # type: ignore[attr-defined]

    def read(self) -> dict[str, list[bytes]]:
        """Return every game's history as a reader finds it: the log, then the outbox."""
        return merge(self.log(), self.row.rows(), "the last reader")


class System:
    """The parts of a cluster."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.truth = Truth(world)
        random = world.rng.random
        self.away = {"kafka": 0.0, "postgres": 0.0, "redis": 0.0}
        self.stores = {
            f"p{n}": PartitionStores(world, self.truth, f"p{n}")
            for n in range(1 if random() < 0.7 else 2)
        }
        self.shards: dict[str, Shard] = {}
        self.gateways: list[Gateway] = []
        self.coordinator = (Decided if world.weather.decided else Coordinator)(self)
        for n in range(2 if random() < 0.5 else 3):
            self.shards[f"s{n}"] = Shard(self, f"s{n}")
        self.gateways += [Gateway(self) for _ in range(1 + (random() < 0.6))]
        self.faults = Faults(self)
        if world.weather.mode == "kafka":
            for stores in self.stores.values():
                for _ in range(3):
                    Reader(self, stores)
        self.clients: list[Client] = []
        self._left = 0
        for partition in self.stores:
            for n in range(2 + int(2 * random())):
                game = f"{partition}.g{n % 2}"
                gateway = self.gateways[n % len(self.gateways)]
                name = f"{partition}c{n}"
                self.clients.append(Client(self, gateway, name, game, 5 + int(10 * random())))
                self._left += 1

    def take_away(self, store: str, ms: float) -> None:
        """A store is away for so long; some shards are told by their breaker."""
        if self.world.weather.outages:
            self.world.say(f"{store} is away for {ms:.0f} ms")
            self.away[store] = max(self.away[store], min(self.world.now + ms, self.world.fault_end))
            if store == "kafka" and self.world.random() < 0.5:
                for shard in self.shards.values():
                    self.world.at(20.0 * self.world.random(), shard.tell_breaker, True)
                    self.world.at(ms + 20.0 * self.world.random(), shard.tell_breaker, False)

    def ended(self, incarnation: str) -> None:
        """A process's end is noticed."""
        if self.world.random() < 0.8:
            self.coordinator.ended(incarnation)

    def client_done(self) -> None:
        """A client has all of its answers."""
        self._left -= 1
        if not self._left and self.well():
            self.world.stopped = True

    def well(self) -> bool:
        """Whether every partition is served, by its owner, in its log."""
        for name, stores in self.stores.items():
            row = stores.row
            shard = self.shards.get(row.owner.split("/")[0])
            hosted = shard.hosted.get(name) if shard is not None and shard.alive else None
            if hosted is None or hosted.owner.epoch != row.epoch or not hosted.owner.serving:
                return False
            if row.mode == "outbox":
                return False
        return True

    def judge(self) -> None:
        """Check what holds at the end."""
        for client in self.clients:
            if not client.done:
                command = client.current
                raise NotLive(
                    f"{client.name} has no answer to {command.value if command else '?'!r}"
                )
        if not self.well():
            raise NotLive("a partition isn't served")
        read: dict[str, list[bytes]] = {}
        for stores in self.stores.values():
            read |= stores.read()
            for game, snapshot in stores.row.snapshots.items():
                if snapshot != self.truth.histories.get(game, [])[: len(snapshot)]:
                    raise Violation(f"the snapshot of {game} holds what never happened")
        if read != self.truth.histories:
            raise Violation(f"a reader finds {read}, what happened is {self.truth.histories}")


def simulate(seed: int, trace: bool = False) -> World:
    """Run a seed to its end.

    Raises:
        Violation: If an invariant doesn't hold. Its `__notes__` hold the trace.
    """
    world = World(seed, trace)
    try:
        system = System(world)
        world.at(world.fault_end + 200.0, _look, system)
        world.run(world.fault_end + GRACE)
        system.judge()
    except Exception as error:
        violation = error
        if not isinstance(error, Violation):
            violation = Defect(f"{type(error).__name__}: {error}")
        violation.add_note("\n".join(world.trace or ()))
        raise violation from error
    return world


def _look(system: System) -> None:
    """Stop once all is well."""
    if not system._left and system.well():
        system.world.stopped = True
    else:
        system.world.at(50.0, _look, system)
