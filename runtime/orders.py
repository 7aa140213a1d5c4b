"""What shards tell the coordinator, and what it decides to do: the words of `runtime.ownership`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from runtime.formats import Offers
from runtime.told import Told


class Beat(Told, Struct, frozen=True):
    """What a shard tells of itself.

    Attributes:
        name, incarnation: Which shard, and which life of its process.
        address: Where its links listen.
        node: The machine (Ray's id of it); `pid` is its process there.
        serving: The (partition, epoch) pairs that it serves.
        status: The rest of its line in GET /shards.
        offers: Which versions of which games it reads and writes.
    """

    name: str
    incarnation: str
    address: tuple[str, int]
    node: str
    pid: int
    serving: Sequence[tuple[int, int]]
    status: Mapping[str, object] = {}
    offers: Offers = {}


class Release(Struct, frozen=True):
    """Ask `owner` to give a partition up in order. Then tell `released`, whatever came of it."""

    partition: int
    epoch: int
    owner: str


class Assign(Struct, frozen=True):
    """Compare-and-set the row from epoch `expected`. Then tell `assigned`, or `found` the row."""

    partition: int
    owner: str
    expected: int


class Open(Struct, frozen=True):
    """Ask `owner` to open a partition at its epoch. Then tell `opened`, whatever came of it."""

    partition: int
    epoch: int
    owner: str


class Kill(Struct, frozen=True):
    """End a process that hangs; others serve its partitions already."""

    beat: Beat


Action = Release | Assign | Open | Kill
