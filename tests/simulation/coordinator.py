"""A simple coordinator: beats in; compare-and-set, open, release and routes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulation.client import Gateway
    from simulation.system import System

SILENCE = 130.0
TICK = 25.0
PATIENCE = 160.0
"""So long an owner may take to open, or to release, before somebody else is given the partition."""


class Seen:
    """A shard's last word."""

    def __init__(
        self,
        incarnation: str,
        status: dict[str, tuple[int, bool]],
        opened: dict[str, int],
        at: float,
    ) -> None:
        self.incarnation, self.status, self.opened, self.at = incarnation, status, opened, at


class Coordinator:
    """Decides when to take over, never whether what an owner says is true."""

    def __init__(self, system: System) -> None:
        self.system, self.world = system, system.world
        self.asleep_until = 0.0
        self.seen: dict[str, Seen] = {}
        self.assigned: dict[str, tuple[int, str]] = {}
        self._asked: dict[str, float] = {}
        self._since: dict[str, float] = {}
        self._moving: dict[str, float] = {}
        self._busy: set[str] = set()
        self._ticks = 0
        self.world.at(TICK, self._tick)
        self.start()

    def start(self) -> None:
        """Find the truth in Postgres."""
        for partition in self.system.stores:
            self._read(partition)

    def beat(
        self,
        name: str,
        incarnation: str,
        status: dict[str, tuple[int, bool]],
        opened: dict[str, int],
    ) -> None:
        """Take a shard's sign of life; one that was overtaken by a newer life's counts for nothing."""
        if self.world.now < self.asleep_until:
            return
        known = self.seen.get(name)
        if known is None or _life(incarnation) >= _life(known.incarnation):
            self.seen[name] = Seen(incarnation, status, opened, self.world.now)

    def ended(self, incarnation: str) -> None:
        """Say nothing: silence has to do."""

    def lost(self, partition: str, epoch: int) -> None:
        """Wait for the next beat, which says the same."""

    def ask_routes(self, gateway: Gateway) -> None:
        """Answer a gateway."""
        if self.world.now >= self.asleep_until:
            self.world.send(gateway.route, dict(self.assigned))

    # --- assignment ---------------------------------------------------------------------------------

    def _tick(self) -> None:
        self.world.at(TICK, self._tick)
        if self.world.now < self.asleep_until:
            return
        self._ticks += 1
        if self._ticks % 5 == 0:  # a compare-and-set of unknown outcome may have landed late
            for partition in self.assigned.keys() - self._busy:
                self._read(partition)
        limit = self.world.now - SILENCE
        living = {seen.incarnation: seen for seen in self.seen.values() if seen.at > limit}
        for partition in self.system.stores:
            if partition in self.assigned and partition not in self._busy and living:
                self._look_after(partition, living)

    def _look_after(self, partition: str, living: dict[str, Seen]) -> None:
        epoch, owner = self.assigned[partition]
        now = self.world.now
        seen = living.get(owner)
        if seen is None:
            self._give(partition, living, "")
            return
        at, serving = seen.status.get(partition, (0, False))
        gone = at < epoch <= seen.opened.get(partition, 0)
        moving = self._moving.get(partition)
        if gone or (moving is not None and now - moving > PATIENCE):
            self._give(partition, living, owner if moving is not None else "")
        elif at == epoch and serving:
            self._since[partition] = now
            movable = moving is None and not self.world.calm and self.world.weather.moves
            if movable and self.world.random() < 0.02:
                self.move(partition)
        elif not serving and now - self._since.get(partition, now) > PATIENCE * 3:
            if not self.world.calm:
                self._give(partition, living, "")
        elif at < epoch and now - self._asked.get(partition, 0.0) > 40.0:
            self._open(partition)

    def move(self, partition: str) -> None:
        """Have a partition released, to give it to another shard."""
        epoch, owner = self.assigned[partition]
        self.world.say(f"{partition} is to be moved from {owner}")
        self._moving[partition] = self.world.now
        name, life = owner.split("/")
        self.world.send(self.system.shards[name].release, int(life), partition, epoch)

    def rude(self, partition: str) -> None:
        """Give a partition away from an owner that may be well."""
        if partition in self.assigned and partition not in self._busy and self.seen:
            living = {seen.incarnation: seen for seen in self.seen.values()}
            self._give(partition, living, self.assigned[partition][1])

    def _give(self, partition: str, living: dict[str, Seen], but: str) -> None:
        names = [name for name in living if name != but] or list(living)
        to = names[int(self.world.random() * len(names))]
        expected = self.assigned[partition][0]
        self._busy.add(partition)
        row = self.system.stores[partition].row

        def assign() -> None:
            if self.world.now < self.system.away["postgres"]:
                return
            if row.assign(to, expected):
                self.world.say(f"{partition} is given to {to} at epoch {expected + 1}")

        self.world.send(assign)
        # The answer may be lost: what the row says counts, whoever wrote it.
        self.world.at(12.0 + self.world.latency(), self._read, partition)

    def _read(self, partition: str) -> None:
        self._busy.add(partition)
        if self.world.now < self.system.away["postgres"] or self.world.now < self.asleep_until:
            self.world.at(30.0, self._read, partition)
            return
        self._busy.discard(partition)
        row = self.system.stores[partition].row
        found = row.epoch, row.owner
        if found != self.assigned.get(partition):
            self.assigned[partition] = found
            self._moving.pop(partition, None)
            self._since[partition] = self.world.now
            if row.owner:
                self._open(partition)
            for gateway in self.system.gateways:
                self.world.send(gateway.route, dict(self.assigned))

    def _open(self, partition: str) -> None:
        epoch, owner = self.assigned[partition]
        self._asked[partition] = self.world.now
        name, life = owner.split("/")
        self.world.send(self.system.shards[name].open, int(life), partition, epoch)


def _life(incarnation: str) -> int:
    return int(incarnation.split("/")[1])
