"""Ended games, for good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from psycopg.types.json import Jsonb

from persistence.database import Database

_ADD = (
    "INSERT INTO archive (game, kind, seq, ended_at, players, result, moves, exports)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (game) DO UPDATE SET"
    " kind = excluded.kind, seq = excluded.seq, ended_at = excluded.ended_at,"
    " players = excluded.players, result = excluded.result, moves = excluded.moves,"
    " exports = excluded.exports WHERE archive.seq < excluded.seq"
)


class Archived(Struct, frozen=True):
    """An ended game.

    Attributes:
        game, kind: Which game, and what it is.
        seq: Of the event that ended it.
        ended_at: When, in ms since the epoch.
        players: Every seat's player, by id; None where nobody sat.
        result: What the event says that ended it, by its own fields.
        moves: How many moves stood on the board.
        exports: The whole game as other programs read it, by the ending of the file.
    """

    game: str
    kind: str
    seq: int
    ended_at: int
    players: Mapping[str, str | None]
    result: Mapping[str, Any]
    moves: int
    exports: Mapping[str, str]


async def add(cursor: Any, games: Sequence[Archived]) -> None:
    """Add games in the transaction of `cursor`; one that's there stays, unless it's of a lower seq.

    Raises:
        psycopg.DataError: If a text in one of them can't be stored.
    """
    await cursor.executemany(
        _ADD,
        [
            (
                game.game,
                game.kind,
                game.seq,
                game.ended_at,
                Jsonb(dict(game.players)),
                Jsonb(dict(game.result)),
                game.moves,
                Jsonb(dict(game.exports)),
            )
            for game in games
        ],
    )


class Archive:
    """Reads what was archived."""

    def __init__(self, database: Database) -> None:
        """Read from `database`."""
        self._database = database

    async def get(self, game: str) -> Archived | None:
        """Return a game; None if it isn't archived.

        Raises:
            Unavailable: If Postgres doesn't answer.
        """
        rows = await self._database.query(
            "SELECT game, kind, seq, ended_at, players, result, moves, exports"
            " FROM archive WHERE game = %s",
            game,
        )
        return Archived(*rows[0]) if rows else None
