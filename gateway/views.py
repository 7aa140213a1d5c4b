"""A packed state made readable: the game's own view, with names, id, seq and the server's time.

It runs here and not where the game lives, because it costs several times what a move costs.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from actors.behaviour import Rejected, instant
from gateway.catalog import Catalog, Kind
from gateway.names import NameBook, people
from gateway.problems import Problem
from runtime.asks import Packed


class Views:
    """Answers questions about games from their states."""

    def __init__(self, catalog: Catalog, names: NameBook) -> None:
        """Show the games of `catalog`."""
        self._catalog = catalog
        self._names = names

    def kind(self, name: str) -> Kind:
        """Return a kind by name.

        Raises:
            Problem: If a game is of a kind that isn't installed here.
        """
        kind = self._catalog.kinds.get(name)
        if kind is None:
            raise Problem("game_failed", f"Games of the kind {name!r} can't be shown here.")
        return kind

    def answer(self, kind: Kind, state: Any, query: Any, viewer: str | None) -> dict[str, Any]:
        """Return a query's answer, without names.

        Raises:
            Problem: If the game refuses to tell.
        """
        try:
            return dict(kind.behaviour.view(state, query, viewer))
        except Rejected as no:
            raise Problem(no.code, no.detail) from no

    def game(
        self, kind: Kind, game: str, seq: int, answer: dict[str, Any]
    ) -> tuple[dict[str, Any], list[dict[str, Any]], list[str]]:
        """Return a whole game, the players in it, and the ids whose names must be loaded.

        `answer` is what the query "state" gave.
        """
        view = {
            "id": game,
            "kind": kind.name,
            "seq": seq,
            "now": instant(int(time.time() * 1000)),
            **answer,
        }
        found = list(people(view))
        return view, found, self._names.fill(found)

    def unpack(self, packed: Packed) -> tuple[Kind, Any]:
        """Return the kind and the state of what a shard sent."""
        kind = self.kind(packed.kind)
        return kind, kind.behaviour.unpack(packed.state)

    async def whole(self, kind: Kind, game: str, seq: int, answer: dict[str, Any]) -> bytes:
        """Return a whole game as JSON."""
        view, found, missing = self.game(kind, game, seq, answer)
        if missing:
            await self._names.load(found, missing)
        return msgspec.json.encode(view)

    async def seated(self, packed: Packed) -> dict[str, str]:
        """Return the names of a game's players, by id, of those who have one."""
        kind, state = self.unpack(packed)
        seats = kind.behaviour.outline(state).seats
        found: list[dict[str, Any]] = [{"id": user} for _, user in seats if user is not None]
        missing = self._names.fill(found)
        if missing:
            await self._names.load(found, missing)
        return {player["id"]: player["name"] for player in found if player["name"] is not None}

    async def named(self, view: dict[str, Any]) -> bytes:
        """Return any other answer as JSON, with names."""
        found = list(people(view))
        missing = self._names.fill(found)
        if missing:
            await self._names.load(found, missing)
        return msgspec.json.encode(view)
