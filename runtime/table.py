"""The routing table: which shard owns which partition, under which epoch, at which address."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from runtime.told import Told


class Route(Told, Struct, frozen=True, array_like=True):
    """One partition's owner. `address` is None while nobody serves it."""

    partition: int
    epoch: int
    shard: str
    address: tuple[str, int] | None


class RoutingTable(Told, Struct, frozen=True, array_like=True):
    """All partitions, by id. Of two tables the one with the higher version counts."""

    version: int
    routes: Sequence[Route]

    @property
    def partitions(self) -> int:
        """How many partitions there are."""
        return len(self.routes)
