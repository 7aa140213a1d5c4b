"""A cluster's services on a real Ray, and what tests do to it: without gateways."""

import os
import signal
import time
from collections.abc import Callable

import ray

from persistence.installation import Installation, install
from runtime.asks import GameError
from runtime.cluster import Cluster
from runtime.config import COORDINATOR, ClusterConfig
from runtime.handle import Games
from runtime.partitions import partition_of
from runtime.settings import OwnershipTiming

PARTITIONS = 8
_LOST = (
    ray.exceptions.RayError,
    ray.exceptions.GetTimeoutError,
    GameError,
    LookupError,
    TimeoutError,
)


class Services:
    """A running cluster, and what tests do to it."""

    def __init__(self, dsn: str, shards: int, *, kill_hung: bool = True) -> None:
        install(dsn, Installation("gameshard", PARTITIONS))
        config = ClusterConfig(
            dsn=dsn,
            secret=b"of the tests",
            shards=shards,
            gateways=0,
            ownership=OwnershipTiming(kill_hung=kill_hung),
        )
        self.cluster = Cluster(config, ("", None))

    def start(self) -> None:
        self.cluster.start(lambda _: None)
        self.games = Games.connect()

    def stop(self) -> None:
        self.cluster.stop(lambda _: None)

    # --- looking -----------------------------------------------------------------------------

    def describe(self) -> dict:
        return self.cluster.call(COORDINATOR, "describe")

    def shard(self, name: str) -> dict:
        """The line of GET /shards of one shard."""
        for shard in self.describe()["shards"]:
            if shard["name"] == name:
                return shard
        raise LookupError(name)

    def owner(self, game: str) -> dict:
        """The line of GET /shards of the shard that owns a game."""
        partition = partition_of(game, PARTITIONS)
        for shard in self.describe()["shards"]:
            if any(p["id"] == partition for p in shard["partitions"]):
                return shard
        raise LookupError(game)

    def owned_by(self, name: str, prefix: str) -> str:
        """The name of a game that the shard called `name` owns."""
        numbers = {p["id"] for p in self.shard(name)["partitions"]}
        return next(
            game
            for n in range(10_000)
            if partition_of(game := f"{prefix}-{n}", PARTITIONS) in numbers
        )

    def pid(self, role: str) -> int:
        return next(p["pid"] for p in self.describe()["processes"] if p["role"] == role)

    # --- doing -------------------------------------------------------------------------------

    def begin_game(self, name: str) -> object:
        """Start a game of ann (white) against bob."""
        game = self.games.get(name)
        ray.get(game.create.remote(user="ann", kind="chess", color="white", key="k"))
        ray.get(game.join.remote(user="bob"))
        return game

    def play(self, game: str, ply: int, uci: str) -> dict:
        """Play a move, whoever owns the game by now; a repeat of it is the same move."""

        def ask() -> dict:
            self.games.refresh()
            user = ("ann", "bob")[ply % 2]
            return ray.get(self.games.get(game).move.remote(user=user, uci=uci, ply=ply), timeout=5)

        return eventually(ask)

    def moves(self, game: str) -> list[str]:
        def ask() -> dict:
            self.games.refresh()
            return ray.get(self.games.get(game).state.remote(), timeout=3)

        return eventually(ask)["moves"]

    def operate(self, verb: bytes) -> dict:
        """Do what an operator asks; return how it went."""
        self.cluster.call(COORDINATOR, "operate", verb)
        until_true(lambda: self.describe()["operation"]["state"] != "running")
        return self.describe()["operation"]

    def settle(self) -> None:
        until_true(lambda: self.cluster.call(COORDINATOR, "settled"))

    def signal(self, pid: int, number: signal.Signals) -> None:
        os.kill(pid, number)


def eventually(probe: Callable, seconds: float = 60.0):
    """Return what `probe` returns once it stops raising."""
    until = time.monotonic() + seconds
    while True:
        try:
            return probe()
        except _LOST:
            if time.monotonic() > until:
                raise


def until_true(probe: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until `probe` returns something true; failures of the cluster count as false."""

    def check() -> None:
        if not probe():
            raise LookupError("not yet")

    eventually(check, seconds)
