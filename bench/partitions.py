"""Which partition of the log a game lives in, as any producer of Kafka would reckon it.

A fault hits whole partitions, so a bench must know whose games they are. The server's own
function is not imported: a bench knows the public rule only, which is Kafka's default partitioner.
"""

from __future__ import annotations

_M = 0x5BD1E995
_SEED = 0x9747B28C
_MASK = 0xFFFFFFFF


def partition_of(game: str, partitions: int) -> int:
    """Return the partition (0 .. partitions - 1) of a game's id."""
    return (_murmur2(game.encode()) & 0x7FFFFFFF) % partitions


def _murmur2(data: bytes) -> int:
    """Return the unsigned 32-bit MurmurHash2 (A. Appleby, public domain) with Kafka's seed."""
    whole = len(data) & ~3
    h = _SEED ^ len(data)
    for at in range(0, whole, 4):
        k = (int.from_bytes(data[at : at + 4], "little") * _M) & _MASK
        h = ((h * _M) & _MASK) ^ (((k ^ (k >> 24)) * _M) & _MASK)
    if tail := data[whole:]:
        h = ((h ^ int.from_bytes(tail, "little")) * _M) & _MASK
    h = ((h ^ (h >> 13)) * _M) & _MASK
    return h ^ (h >> 15)
