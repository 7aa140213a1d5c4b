"""Games as other Ray programs see them, on a real cluster: two shards, real Postgres, no gateway."""

import os
import signal
import time

import pytest
import ray

from persistence.installation import Installation, install
from runtime.asks import GameError
from runtime.cluster import Cluster
from runtime.config import COORDINATOR, ClusterConfig
from runtime.handle import Games
from runtime.partitions import partition_of


@pytest.fixture(scope="module")
def cluster(postgres):
    """A running cluster of two shards."""
    install(postgres.dsn, Installation("gameshard", 8))
    config = ClusterConfig(dsn=postgres.dsn, secret=b"of the tests", shards=2, gateways=0)
    cluster = Cluster(config, ("", None))
    cluster.start_ray()
    try:
        cluster.start(lambda _: None)
        yield cluster
    finally:
        cluster.stop(lambda _: None)
        cluster.stop_ray()


@pytest.fixture
def games(cluster):
    return Games.connect()


def owner(cluster, game: str) -> dict:
    """The line of GET /shards of the shard that owns a game."""
    partition = partition_of(game, 8)
    for shard in cluster.call(COORDINATOR, "describe")["shards"]:
        if any(p["id"] == partition for p in shard["partitions"]):
            return shard
    raise LookupError(game)


def eventually(probe, seconds: float = 30.0):
    """Return what `probe` returns once it stops raising."""
    until = time.monotonic() + seconds
    while True:
        try:
            return probe()
        except (ray.exceptions.RayError, GameError, LookupError, TimeoutError):
            if time.monotonic() > until:
                raise


def start(games, name: str) -> object:
    game = games.get(name)
    ray.get(game.create.remote(user="ann", kind="chess", color="white", key="k"))
    ray.get(game.join.remote(user="bob"))
    return game


def test_a_game_is_called_as_a_ray_actor_is(games):
    """Commands are remote methods; their references give the event, the state gives the view."""
    game = start(games, "handle-1")
    moved = ray.get(game.move.remote(user="ann", uci="e2e4"))
    assert (moved["type"], moved["seq"], moved["uci"]) == ("MovePlayed", 3, "e2e4")
    view = ray.get(game.state.remote())
    assert (view["moves"], view["turn"], view["seq"]) == (["e2e4"], "black", 3)


def test_many_games_on_both_shards_are_asked_at_once(cluster, games):
    """References of games on different shards resolve together."""
    names = [f"many-{i}" for i in range(20)]
    refs = [
        games.get(name).create.remote(user="ann", kind="chess", color="white", key="k")
        for name in names
    ]
    assert {event["type"] for event in ray.get(refs)} == {"GameCreated"}
    assert len({owner(cluster, name)["name"] for name in names}) == 2


def test_a_refusal_is_an_exception_with_its_code(games):
    """`ray.get` raises what the game said."""
    game = start(games, "handle-2")
    for call, code in (
        (game.move.remote(user="ann", uci="e2e5"), "illegal_move"),
        (game.move.remote(user="bob", uci="e7e5"), "not_your_turn"),
        (games.get("nobody").move.remote(user="ann", uci="e2e4"), "no_such_game"),
    ):
        with pytest.raises(GameError) as caught:
            ray.get(call)
        assert caught.value.cause.code == code


def test_a_stale_handle_still_finds_its_game(cluster, games):
    """A shard that doesn't own the game passes the call on to the one that does."""
    game = start(games, "handle-3")
    other = next(
        name for name in ("shard-0", "shard-1") if name != owner(cluster, "handle-3")["name"]
    )
    partition = partition_of("handle-3", 8)
    routes = list(games._table.routes)
    games._shards[routes[partition].shard] = ray.get_actor(other, "gameshard")
    assert ray.get(game.move.remote(user="ann", uci="d2d4"))["uci"] == "d2d4"


def test_a_killed_shard_comes_back_with_every_acknowledged_move(cluster, games):
    """After kill -9 Ray starts the shard anew; its games go on where they were acknowledged."""
    game = start(games, "handle-4")
    for user, uci in (("ann", "e2e4"), ("bob", "e7e5"), ("ann", "g1f3")):
        ray.get(game.move.remote(user=user, uci=uci))
    line = owner(cluster, "handle-4")
    os.kill(line["pid"], signal.SIGKILL)

    def revived():
        games.refresh()
        return ray.get(game.state.remote(), timeout=3)

    assert eventually(revived)["moves"] == ["e2e4", "e7e5", "g1f3"]
    again = eventually(lambda: owner(cluster, "handle-4"))
    epoch = {p["id"]: p["epoch"] for p in line["partitions"]}[partition_of("handle-4", 8)]
    now = {p["id"]: p["epoch"] for p in again["partitions"]}[partition_of("handle-4", 8)]
    assert now > epoch
    assert ray.get(game.move.remote(user="bob", uci="b8c6"))["uci"] == "b8c6"


def test_a_killed_coordinator_is_not_missed(cluster, games):
    """Games go on without it; it comes back and knows who owns what, without moving anything."""
    game = start(games, "handle-5")
    before = owner(cluster, "handle-5")
    described = cluster.call(COORDINATOR, "describe")
    pid = next(p["pid"] for p in described["processes"] if p["role"] == "coordinator")
    os.kill(pid, signal.SIGKILL)
    assert ray.get(game.move.remote(user="ann", uci="c2c4"))["uci"] == "c2c4"

    def recovered():
        after = owner(cluster, "handle-5")
        table = cluster.call(COORDINATOR, "routes")
        if not table.routes or not all(route.address for route in table.routes):
            raise LookupError
        return after

    assert eventually(recovered)["partitions"] == before["partitions"]
