"""What goes wrong, and when: some of it by the clock, most of it at dangerous moments."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulation.shard import Shard
    from simulation.system import System

MOST = 14
"""So many faults at dangerous moments in one seed, so that it gets somewhere in between."""


class Faults:
    """Chooses and inflicts faults."""

    def __init__(self, system: System) -> None:
        self.system, self.world = system, system.world
        self.struck = 0
        for _ in range(self.world.weather.faults):
            self.world.at(self.world.random() * self.world.fault_end, self._strike_anybody)
        self.world.at(self.world.fault_end, self._stop)

    def _strike_anybody(self) -> None:
        shards = list(self.system.shards.values())
        self.strike(shards[int(self.world.random() * len(shards))])

    def strike(self, shard: Shard) -> None:
        """Let something happen to `shard`, or to what it works with, at once or very soon."""
        world = self.world
        if self.struck >= MOST or world.calm:
            return
        self.struck += 1
        delay = 0.01 if world.random() < 0.3 else 12.0 * world.random()
        world.at(delay, self._inflict, shard, world.random())

    def _inflict(self, shard: Shard, fate: float) -> None:  # noqa: C901  (a table of faults)
        world = self.world
        if world.calm:
            return
        if world.weather.expiry and world.random() < 0.4:
            world.say("transactional ids expire")
            for stores in self.system.stores.values():
                stores.kafka.expire()
        if world.weather.cached and world.random() < 0.3:
            world.say("Redis suffers")
            for stores in self.system.stores.values():
                stores.cache.suffer()
        if fate < 0.34:
            shard.sleep(20.0 + (100.0 if fate < 0.1 else 580.0) * world.random())
            if fate > 0.14:  # a zombie in the making: somebody else is given what it has
                self._give_away(shard)
        elif fate < 0.44:
            shard.crash()
        elif fate < 0.6:
            self.system.take_away("kafka", 20.0 + world.weather.outage * world.random())
        elif fate < 0.66:
            self.system.take_away("postgres", 10.0 + 120.0 * world.random())
        elif fate < 0.68:
            self.system.take_away("redis", 10.0 + 300.0 * world.random())
        elif fate < 0.84:
            partitions = list(self.system.stores)
            self.system.coordinator.rude(partitions[int(world.random() * len(partitions))])
        elif fate < 0.88:
            self.system.coordinator.asleep_until = world.now + 200.0 * world.random()
        elif world.weather.clocks:
            shard.bend(0.2 + 2.0 * world.random(), 600.0 * world.random() - 300.0)

    def _give_away(self, shard: Shard) -> None:
        for partition, hosted in shard.hosted.items():
            if hosted.owner.epoch == hosted.stores.row.epoch:
                self.world.at(10.0 * self.world.random(), self.system.coordinator.rude, partition)

    def _stop(self) -> None:
        """From here on all goes well."""
        self.world.say("faults stop")
        self.system.away = dict.fromkeys(self.system.away, 0.0)
        for shard in self.system.shards.values():
            shard.bend(1.0, 0.0)
        for shard in self.system.shards.values():
            shard.tell_breaker(False)
