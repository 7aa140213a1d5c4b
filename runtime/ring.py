"""Which shard a partition belongs on: a consistent-hash ring with bounded load.

Every shard stands on the ring at many points; a partition goes to the next point clockwise whose
shard is not full. Adding a shard therefore moves about 1/n of the partitions, and no shard holds
more than `ceil(1.25 x its fair share)`.

Source: V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent Hashing with Bounded Loads" (2016).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from hashlib import blake2b
from math import ceil

SLACK = 1.25
POINTS = 160
"""Virtual nodes of a shard of weight 1: its share deviates by about 1/sqrt(160) = 8%."""


_UNPINNED: Mapping[int, str] = {}


def place(
    partitions: int, shards: Mapping[str, float], pins: Mapping[int, str] = _UNPINNED
) -> list[str]:
    """Return the shard of every partition.

    Args:
        partitions: How many there are.
        shards: Name -> weight (1.0 is an ordinary machine); weights are relative.
        pins: Partition -> shard, whatever the ring says and however full the shard is. Pins to
            shards that aren't there don't count.

    Raises:
        ValueError: If there is no shard, or a weight is not positive.
    """
    if not shards or min(shards.values()) <= 0:
        raise ValueError("at least one shard of positive weight is needed")
    points = sorted(
        (_position(f"{name}#{i}"), name)
        for name, weight in shards.items()
        for i in range(max(1, round(POINTS * weight)))
    )
    positions = [position for position, _ in points]
    room = capacities(partitions, shards)
    owners = [""] * partitions
    for partition, name in pins.items():
        if name in shards and partition < partitions:
            owners[partition] = name
            room[name] = max(0, room[name] - 1)
    free = [i for i in range(partitions) if not owners[i]]
    for position, partition in sorted((_position(f"p{i}"), i) for i in free):
        at = bisect_right(positions, position)
        while room[points[at % len(points)][1]] == 0:
            at += 1
        name = points[at % len(points)][1]
        room[name] -= 1
        owners[partition] = name
    return owners


def capacities(partitions: int, shards: Mapping[str, float]) -> dict[str, int]:
    """Return how many partitions each shard may hold at most."""
    total = sum(shards.values())
    return {
        name: ceil(SLACK * partitions * weight / total) for name, weight in sorted(shards.items())
    }


def _position(label: str) -> int:
    return int.from_bytes(blake2b(label.encode(), digest_size=8).digest(), "big")
