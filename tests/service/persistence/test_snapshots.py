"""Snapshots, history, the archive, names, the installation and the embedded server on real Postgres."""

import asyncio
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from persistence.installation import Installation, Mismatch, install
from persistence.local.postgres import LocalPostgres, PostgresError
from persistence.log import Unavailable
from persistence.postgres import PostgresStores
from persistence.snapshots import Snapshot


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
    page = await stores.snapshots.played("ann", 4, 2)
    assert [p.game for p in page] == ["g3", "g2"]
    assert [p.game for p in await stores.snapshots.played("bob", page[-1].ended_at, 9)] == [
        "g1",
        "g0",
    ]
    assert await stores.snapshots.played("eve", 99, 9) == []


async def test_names_can_be_changed_and_erased(stores):
    """A name is what was last said, and gone when erased."""
    await stores.names.save({"u1": "Ann", "u2": "Bob"})
    await stores.names.save({"u1": "Anna"})
    assert await stores.names.load(["u1", "u2", "u3"]) == {"u1": "Anna", "u2": "Bob"}
    await stores.names.erase("u1")
    assert await stores.names.load(["u1"]) == {}


async def test_of_two_assigners_one_wins(stores):
    """Compare-and-set gives an epoch once; the loser learns the newer one."""
    results = await asyncio.gather(
        *(stores.assignments.assign(0, f"s{i}", 0) for i in range(5)), return_exceptions=True
    )
    won = [r for r in results if not isinstance(r, Exception)]
    assert len(won) == 1
    assert {(e.expected, e.found) for e in results if isinstance(e, Exception)} == {(0, 1)}
    assert (await stores.assignments.read())[0] == won[0]


def test_the_schema_is_made_once_though_many_start(empty_dsn):
    """Concurrent starts agree, and a start with other settings is refused by name."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: install(empty_dsn, Installation("x", 4)), range(4)))
    for other, word in (
        (Installation("x", 8), "partitions"),
        (Installation("y", 4), "namespace"),
        (Installation("x", 4, "kafka"), "log"),
    ):
        with pytest.raises(Mismatch, match=word):
            install(empty_dsn, other)
    with psycopg.connect(empty_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM partitions").fetchone() == (4,)


async def test_a_database_that_is_away_is_unavailable_and_comes_back(stores, dsn):
    """A cut connection is `Unavailable` once, and replaced by itself."""
    await stores.names.save({"u": "x"})
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(Unavailable):
        await stores.names.load(["u"])
    assert await stores.names.load(["u"]) == {"u": "x"}


CHILD = """
import os, signal, sys
from pathlib import Path
from persistence.local.postgres import LocalPostgres
server = LocalPostgres(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_server_goes_with_its_parent_and_its_data_stays():
    """After kill -9 of the parent no server is left, and the next start finds the data."""
    with tempfile.TemporaryDirectory(prefix="gameshard-pg-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = LocalPostgres(Path(folder))
        server.start()
        with psycopg.connect(server.dsn) as connection:
            connection.execute("CREATE TABLE kept (n int)")
        server.stop()
        child = subprocess.run(
            [sys.executable, "-c", CHILD, folder], capture_output=True, text=True, check=False
        )
        pid = int(child.stdout)
        again = LocalPostgres(Path(folder))
        again.start()  # waits for the orphan's end
        assert not Path(f"/proc/{pid}").exists()
        with psycopg.connect(again.dsn) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
        again.stop()


def test_data_of_another_version_is_refused_by_name(tmp_path_factory):
    """The error says which version the data is of."""
    with tempfile.TemporaryDirectory(prefix="gameshard-pg-") as folder:
        Path(folder).chmod(0o755)
        data = Path(folder) / "data"
        data.mkdir()
        (data / "PG_VERSION").write_text("12\n")
        with pytest.raises(PostgresError, match="Postgres 12"):
            LocalPostgres(Path(folder)).start()
