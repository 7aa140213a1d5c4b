"""Display names of players. Events hold ids only, so a name can be erased here and is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from persistence.database import Database


class Names:
    """Player id -> name, in Postgres. Every method may raise `persistence.log.Unavailable`."""

    def __init__(self, database: Database) -> None:
        """Keep the names in `database`."""
        self._database = database

    async def save(self, names: Mapping[str, str]) -> None:
        """Set the names of players."""
        await self._database.query(
            "INSERT INTO names (player, name) SELECT * FROM unnest(%s::text[], %s::text[])"
            " ON CONFLICT (player) DO UPDATE SET name = excluded.name",
            list(names.keys()),
            list(names.values()),
        )

    async def load(self, players: Sequence[str]) -> dict[str, str]:
        """Return the names of those `players` that have one."""
        rows = await self._database.query(
            "SELECT player, name FROM names WHERE player = ANY(%s)", list(players)
        )
        return {player: name for player, name in rows}  # noqa: C416  (rows of two, typed)

    async def erase(self, player: str) -> None:
        """Forget a player's name."""
        await self._database.query("DELETE FROM names WHERE player = %s", player)
