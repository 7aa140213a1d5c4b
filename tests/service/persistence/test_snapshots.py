"""Snapshots, history and the archive on real Postgres."""

import asyncio

import psycopg
import pytest

from persistence.postgres import PostgresStores
from persistence.snapshots import Played, Snapshot


def snapshot(game="g", base=0, seq=5, **other) -> Snapshot:
    fields = {
        "partition": 1,
        "kind": "nim",
        "state": b"s%d" % seq,
        "chunk": b"c%d" % seq,
        "status": "started",
        "moves": seq,
        "deadline": 1000,
        "seats": ["ann", None],
        "taken_at": 7,
    }
    return Snapshot(game=game, base=base, seq=seq, **{**fields, **other})


@pytest.fixture
async def stores(dsn):
    stores = PostgresStores(dsn)
    yield stores
    await stores.close()


async def test_a_game_comes_back_with_its_history(stores):
    """What was saved is loaded, and the chunks come back in order."""
    assert await stores.snapshots.save([snapshot()]) == {"g": 5}
    assert await stores.snapshots.save([snapshot(base=5, seq=9)]) == {"g": 9}
    loaded = (await stores.snapshots.load(["g", "none"]))["g"]
    assert (loaded.seq, loaded.state, loaded.kind) == (9, b"s9", "nim")
    assert await stores.snapshots.history("g") == [b"c5", b"c9"]
    assert await stores.snapshots.history("none") == []


@pytest.mark.parametrize("late", [snapshot(), snapshot(seq=3), snapshot(base=4, seq=12)])
async def test_a_snapshot_that_does_not_follow_changes_nothing(stores, late):
    """A repeat, an older one, and one on another base are told what the store holds."""
    await stores.snapshots.save([snapshot(), snapshot(base=5, seq=9, game="h")])
    await stores.snapshots.save([snapshot(base=5, seq=9)])
    assert await stores.snapshots.save([late]) == {"g": 9}
    assert await stores.snapshots.history("g") == [b"c5", b"c9"]


async def test_a_game_without_a_beginning_is_not_stored(stores):
    """A snapshot on a base of a game that isn't there writes nothing."""
    assert await stores.snapshots.save([snapshot(base=5, seq=9)]) == {}
    assert await stores.snapshots.load(["g"]) == {}


async def test_deadlines_are_those_of_the_partition(stores):
    """Only games of the partition that have a deadline are named."""
    await stores.snapshots.save(
        [snapshot("a"), snapshot("b", deadline=None), snapshot("c", partition=2), snapshot("d")]
    )
    found = [entry async for batch in stores.snapshots.deadlines(1) for entry in batch]
    assert found == [("a", 1000), ("d", 1000)]


async def test_ended_games_are_listed_by_player_newest_first(stores):
    """The archive pages backwards through a player's ended games."""
    ended = [
        snapshot(
            f"g{i}", seq=i + 1, status="ended", deadline=None, seats=["ann", "bob"], taken_at=i
        )
        for i in range(5)
    ]
    await stores.snapshots.save([*ended, snapshot("live")])
    page = await stores.snapshots.played("ann", (4, ""), 2)
    assert [p.game for p in page] == ["g3", "g2"]
    rest = await stores.snapshots.played("bob", (page[-1].ended_at, ""), 9)
    assert [p.game for p in rest] == ["g1", "g0"]
    assert await stores.snapshots.played("eve", (99, ""), 9) == []


async def test_an_ended_game_is_listed_once_under_its_end(stores):
    """What happens to a game after its end (a rematch is offered) doesn't list it anew."""
    end = {"status": "ended", "deadline": None, "seats": ["ann", "ann", None]}
    await stores.snapshots.save([snapshot(seq=5, taken_at=1)])
    for _ in range(2):
        await stores.snapshots.save([snapshot(base=5, seq=9, taken_at=20, **end)])
    await stores.snapshots.save([snapshot(base=9, seq=10, taken_at=30, **end)])
    assert await stores.snapshots.played("ann", (99, ""), 9) == [Played("g", "nim", 20, 9)]


async def test_an_end_that_does_not_follow_is_not_listed(stores):
    """The archive and the game's row are one write: both or neither."""
    await stores.snapshots.save([snapshot(seq=5)])
    await stores.snapshots.save([snapshot(base=4, seq=9, status="ended", deadline=None)])
    assert await stores.snapshots.played("ann", (99, ""), 9) == []


async def test_pages_meet_amid_games_that_ended_together(stores):
    """Paging misses none and repeats none, however many ended in the same millisecond."""
    ended = [
        snapshot(f"g{i}", status="ended", deadline=None, taken_at=moment)
        for i, moment in enumerate([1, 2, 2, 2, 3])
    ]
    await stores.snapshots.save(ended)
    seen, place = [], (99, "")
    while page := await stores.snapshots.played("ann", place, 2):
        assert len(page) <= 2
        seen += [p.game for p in page]
        place = (page[-1].ended_at, page[-1].game)
    assert seen == ["g4", "g3", "g2", "g1", "g0"]


async def test_of_two_writers_of_a_game_one_wins(stores, dsn):
    """Concurrent saves on one base leave one of them whole, and both learn which seq it has."""
    other = PostgresStores(dsn)
    await stores.snapshots.save([snapshot(f"g{i}") for i in range(50)])
    mine = [snapshot(f"g{i}", base=5, seq=7) for i in range(50)]
    theirs = [snapshot(f"g{i}", base=5, seq=8) for i in reversed(range(50))]
    told = await asyncio.gather(stores.snapshots.save(mine), other.snapshots.save(theirs))
    assert told[0] == told[1]
    for i in range(50):
        seq = told[0][f"g{i}"]
        assert await stores.snapshots.history(f"g{i}") == [b"c5", b"c%d" % seq]
        assert (await stores.snapshots.load([f"g{i}"]))[f"g{i}"].state == b"s%d" % seq
    await other.close()


async def test_a_snapshot_that_cannot_be_stored_harms_no_other(stores):
    """Those beside it are saved, and the answer doesn't name it."""
    wrong = [snapshot("a\0"), snapshot("b", seats=["x\0"]), snapshot("c", seats=["\ud800", None])]
    assert await stores.snapshots.save([*wrong, snapshot("d")]) == {"d": 5}
    assert await stores.snapshots.save([*wrong]) == {}
    assert list(await stores.snapshots.load(["b", "c", "d"])) == ["d"]


async def test_a_whole_batch_or_nothing_is_saved(stores, dsn):
    """A batch in which one row fails leaves no part of itself behind."""
    with psycopg.connect(dsn) as connection:
        connection.execute("ALTER TABLE games ADD CHECK (seq < 100)")
    with pytest.raises(psycopg.errors.CheckViolation):
        await stores.snapshots.save([snapshot("a"), snapshot("b", seq=100)])
    assert await stores.snapshots.load(["a"]) == {}


async def test_deadlines_come_in_batches_without_a_miss(stores):
    """More games than a batch holds are all named, each once."""
    await stores.snapshots.save([snapshot(f"g{i:05}", deadline=i) for i in range(5_001)])
    batches = [batch async for batch in stores.snapshots.deadlines(1)]
    assert len(batches) == 2
    assert sorted(entry for batch in batches for entry in batch) == [
        (f"g{i:05}", i) for i in range(5_001)
    ]
