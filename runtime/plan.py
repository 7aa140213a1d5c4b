"""What operators have decided about placement: which shards there shall be, and what is pinned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


class Rolling(Struct, frozen=True):
    """A restart of everybody, one after another, that isn't over; it outlives the coordinator.

    Attributes:
        left: Who is still to be restarted, in order; the first perhaps was, just now.
        emptied: The shard that is drained only for its restart; empty if none is.
    """

    left: Sequence[str] = ()
    emptied: str = ""


class Plan(Struct, frozen=True):
    """The stored decisions. Every change makes a plan of the next version.

    Attributes:
        shards: By name.
        pins: Partition -> shard, which goes before the ring as long as that shard can take it.
        rolling: The restart that is under way.
    """

    version: int = 0
    shards: Mapping[str, ShardPlan] = {}
    pins: Mapping[int, str] = {}
    rolling: Rolling | None = None

    def scaled(self, count: int) -> Plan:
        """Return the plan with `count` shards: known ones as they are, more as numbered."""
        names = [f"shard-{i}" for i in range(count)]
        shards = {name: self.shards.get(name, ShardPlan()) for name in names}
        pins = {partition: name for partition, name in self.pins.items() if name in shards}
        return self._next(shards=shards, pins=pins)

    def drained(self, name: str, *, draining: bool = True) -> Plan:
        """Return the plan with one shard emptied, or (not `draining`) filled again."""
        shard = replace(self.shards[name], draining=draining)
        return self._next(shards={**self.shards, name: shard})

    def weighed(self, name: str, weight: float) -> Plan:
        """Return the plan with one shard's weight changed."""
        shard = replace(self.shards[name], weight=weight)
        return self._next(shards={**self.shards, name: shard})

    def pinned(self, partition: int, name: str | None) -> Plan:
        """Return the plan with one partition pinned to a shard, or (None) left to the ring."""
        pins = {p: shard for p, shard in self.pins.items() if p != partition}
        if name is not None:
            pins[partition] = name
        return self._next(pins=pins)

    def unpinned(self) -> Plan:
        """Return the plan with everything left to the ring."""
        return self._next(pins={})

    def restarted(self, left: Sequence[str]) -> Plan:
        """Return the plan with these still to be restarted; whoever was emptied is filled again."""
        plan = self
        emptied = self.rolling.emptied if self.rolling is not None else ""
        if emptied in self.shards:
            plan = self.drained(emptied, draining=False)
        rolling = Rolling(left) if left else None
        return replace(plan, version=self.version + 1, rolling=rolling)

    def emptied(self, name: str) -> Plan:
        """Return the plan with a shard emptied for as long as its restart takes."""
        rolling = replace(self.rolling or Rolling(), emptied=name)
        return replace(self.drained(name), rolling=rolling)

    def _next(self, **changes: object) -> Plan:
        return replace(self, version=self.version + 1, **changes)
