"""Which partition a game lives in: byte for byte Kafka's default partitioner.

So the log's partition is the unit of ownership, whichever log it is, and a producer that knows
nothing of ours puts a game's records in the same place.
"""

from __future__ import annotations

from functools import lru_cache

_M = 0x5BD1E995
_SEED = 0x9747B28C
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Return the unsigned 32-bit MurmurHash2 of `data` with Kafka's seed.

    Source: `Utils.murmur2` of Apache Kafka's clients (public domain algorithm of A. Appleby).
    """
    length = len(data)
    h = _SEED ^ length
    whole = length & ~3
    for i in range(0, whole, 4):
        k = (int.from_bytes(data[i : i + 4], "little") * _M) & _MASK
        k = ((k ^ (k >> 24)) * _M) & _MASK
        h = ((h * _M) & _MASK) ^ k
    if whole < length:
        h = ((h ^ int.from_bytes(data[whole:], "little")) * _M) & _MASK
    h = ((h ^ (h >> 13)) * _M) & _MASK
    return h ^ (h >> 15)


# Each command asks anew, and a game has many: to hash its id costs twenty times the look-up.
@lru_cache(maxsize=16_384)
def partition_of(game: str, partitions: int) -> int:
    """Return the partition (0 .. partitions - 1) of a game's id."""
    return (murmur2(game.encode()) & 0x7FFFFFFF) % partitions
