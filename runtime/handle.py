"""Games for other Ray programs: each looks like a Ray actor.

    games = Games.connect()
    game = games.get("k3j9x0...")
    event = ray.get(game.move.remote(user="ann", uci="e2e4"))
    state = ray.get(game.state.remote())

A call goes to the shard that owns the game; if that changes on the way, the shard passes it on.
"""

from __future__ import annotations

from time import monotonic, sleep
from typing import Any, cast

import msgspec
import ray

from runtime.asks import Ask, GameError
from runtime.config import COORDINATOR
from runtime.partitions import partition_of
from runtime.table import Route, RoutingTable

_TIMEOUT_S = 5.0
_PAUSE_S = 0.05


class Games:
    """All games of a running cluster."""

    def __init__(self, namespace: str) -> None:
        """Use `connect` instead."""
        self._namespace = namespace
        self._table = RoutingTable(version=0, routes=())
        self._shards: dict[str, Any] = {}

    @classmethod
    def connect(cls, namespace: str = "gameshard") -> Games:
        """Return the games of the cluster that this Ray program is connected to.

        Raises:
            ValueError: If no such cluster runs in this Ray.
        """
        games = cls(namespace)
        games.refresh()
        return games

    def refresh(self) -> None:
        """Fetch the routing table anew."""
        coordinator: Any = ray.get_actor(COORDINATOR, self._namespace)
        table: Any = ray.get(coordinator.call.remote("routes"), timeout=_TIMEOUT_S)
        self._table = cast("RoutingTable", table)
        self._shards.clear()

    def get(self, game: str) -> GameHandle:
        """Return a handle on a game; nothing is asked yet."""
        return GameHandle(game, self)

    def shard(self, game: str) -> Any:
        """Return the Ray actor of the shard that owns a game."""
        until = monotonic() + _TIMEOUT_S
        while (route := self._route(game)) is None or route.address is None:
            if monotonic() > until:
                raise GameError("unavailable", "The game has no owner yet.")
            sleep(_PAUSE_S)
            self.refresh()
        if route.shard not in self._shards:
            self._shards[route.shard] = ray.get_actor(route.shard, self._namespace)
        return self._shards[route.shard]

    def _route(self, game: str) -> Route | None:
        count = self._table.partitions
        return self._table.routes[partition_of(game, count)] if count else None


class GameHandle:
    """One game. Every public command of its kind is a method with `.remote(user=..., **fields)`."""

    def __init__(self, game: str, games: Games) -> None:
        """Use `Games.get` instead."""
        self.id = game
        self._games = games

    def __getattr__(self, name: str) -> RemoteCommand:
        """Return a command: `claim_draw` is the command "claim-draw"."""
        if name.startswith("_"):
            raise AttributeError(name)
        return RemoteCommand(self.id, name.replace("_", "-"), self._games)


class RemoteCommand:
    """One command of one game, called as Ray's methods are."""

    def __init__(self, game: str, command: str, games: Games) -> None:
        """Use `GameHandle` instead."""
        self._game = game
        self._command = command
        self._games = games

    def remote(
        self,
        *,
        user: str | None = None,
        key: str | None = None,
        kind: str | None = None,
        **fields: Any,
    ) -> Any:
        """Send the command; return a reference to the event (or to the view, for `state`).

        `ray.get` of it raises `runtime.asks.GameError` if the game refuses.

        Args:
            user: Who plays; None is nobody in particular.
            key: An idempotency key: with it, a repeat acts once.
            kind: For `create`: which kind of game.
            fields: The command's own fields.
        """
        shard = self._games.shard(self._game)
        if self._command == "state":
            return shard.call.remote("view", self._game, user, _TIMEOUT_S)
        body = msgspec.json.encode(fields)
        ask = Ask(self._game, self._command, body, user, key, kind)
        return shard.call.remote("play", ask, _TIMEOUT_S)
