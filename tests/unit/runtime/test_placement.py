"""Where games live: Kafka's own partitioner, and a ring that is balanced and moves little."""

from collections import Counter
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.partitions import murmur2, partition_of
from runtime.ring import SLACK, capacities, place


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_kafkas(key, hashed):
    """The hash equals the vectors of Kafka's own `UtilsTest.testMurmur2`."""
    assert murmur2(key) == hashed % 2**32


@given(st.text(max_size=40), st.integers(1, 1000))
def test_every_game_has_a_partition(game, partitions):
    """A partition is always in range, and always the same."""
    assert 0 <= partition_of(game, partitions) < partitions
    assert partition_of(game, partitions) == partition_of(game, partitions)


shard_sets = st.lists(st.integers(0, 10_000), min_size=1, max_size=24, unique=True).map(
    lambda numbers: {f"shard-{n}": 1.0 for n in numbers}
)


@settings(max_examples=80, deadline=None)
@given(shard_sets, st.sampled_from([8, 64, 128, 256]))
def test_no_shard_holds_more_than_its_bound(shards, partitions):
    """Load is bounded by ceil(1.25 x mean), whatever the names hash to."""
    held = Counter(place(partitions, shards))
    assert sum(held.values()) == partitions
    assert max(held.values()) <= ceil(SLACK * partitions / len(shards))


@settings(max_examples=80, deadline=None)
@given(shard_sets, st.integers(10_001, 20_000))
def test_growth_moves_little(shards, number):
    """A new shard takes at most its bounded share; nearly all moves go to it.

    The bound shrinks as shards join, so a full shard may have to push a few partitions on: they
    are allowed, but stay below a quarter of all.
    """
    partitions = 256
    before = place(partitions, shards)
    after = place(partitions, {**shards, f"shard-{number}": 1.0})
    moved = [new for old, new in zip(before, after, strict=True) if old != new]
    to_new = sum(new == f"shard-{number}" for new in moved)
    share = partitions / (len(shards) + 1)
    assert to_new <= ceil(SLACK * share)
    assert len(moved) - to_new <= partitions / 4


def test_growth_moves_a_share_on_average():
    """From n to n + 1 shards about 1/(n + 1) of the partitions move, averaged over n."""
    partitions, excess = 256, []
    for n in range(1, 24):
        shards = {f"shard-{i}": 1.0 for i in range(n)}
        before, after = place(partitions, shards), place(partitions, {**shards, f"shard-{n}": 1.0})
        moved = sum(old != new for old, new in zip(before, after, strict=True))
        excess.append(moved / (partitions / (n + 1)))
    assert sum(excess) / len(excess) < 2.0


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0.5, 4), min_size=2))
def test_weights_count(shards):
    """A heavier shard may hold more, and none more than its weight allows."""
    held = Counter(place(128, shards))
    room = capacities(128, shards)
    assert all(held[name] <= room[name] for name in shards)


def test_a_ring_without_shards_is_an_error():
    """There must be somebody to own things."""
    with pytest.raises(ValueError, match="at least one"):
        place(8, {})
