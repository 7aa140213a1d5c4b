"""What operators have decided about placement: which shards there shall be, and what is pinned."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace


class ShardPlan(Struct, frozen=True):
    """One shard that shall exist.

    Attributes:
        weight: Its share of the partitions, relative to the others' (1.0: an ordinary machine).
        draining: It shall hold no partition.
    """

    weight: float = 1.0
    draining: bool = False


class Plan(Struct, frozen=True):
    """The stored decisions. Every change makes a plan of the next version.

    Attributes:
        shards: By name.
        pins: Partition -> shard, which goes before the ring as long as that shard can take it.
    """

    version: int = 0
    shards: Mapping[str, ShardPlan] = {}
    pins: Mapping[int, str] = {}

    def scaled(self, count: int) -> Plan:
        """Return the plan with `count` shards: known ones as they are, more as numbered."""
        names = [f"shard-{i}" for i in range(count)]
        shards = {name: self.shards.get(name, ShardPlan()) for name in names}
        pins = {partition: name for partition, name in self.pins.items() if name in shards}
        return Plan(self.version + 1, shards, pins)

    def drained(self, name: str, *, draining: bool = True) -> Plan:
        """Return the plan with one shard emptied, or (not `draining`) filled again."""
        shard = replace(self.shards[name], draining=draining)
        return Plan(self.version + 1, {**self.shards, name: shard}, self.pins)

    def weighed(self, name: str, weight: float) -> Plan:
        """Return the plan with one shard's weight changed."""
        shard = replace(self.shards[name], weight=weight)
        return Plan(self.version + 1, {**self.shards, name: shard}, self.pins)

    def pinned(self, partition: int, name: str | None) -> Plan:
        """Return the plan with one partition pinned to a shard, or (None) left to the ring."""
        pins = {p: shard for p, shard in self.pins.items() if p != partition}
        if name is not None:
            pins[partition] = name
        return Plan(self.version + 1, self.shards, pins)

    def unpinned(self) -> Plan:
        """Return the plan with everything left to the ring."""
        return Plan(self.version + 1, self.shards, {})
