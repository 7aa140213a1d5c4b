"""What a consumer has settled, in Postgres, beside its work and in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from time import time
from typing import Any

from msgspec import Struct

from persistence.database import Database
from persistence.kafka.consumer_plan import Item, Place

Cursor = Any
"""psycopg's, inside a transaction."""

_FORGET_ROWS = 10_000
_MOST_REASON = 2000
# A row that's there is written as it is, which locks it: of two who hold the same event, the second
# waits for the first and then sees what it did. Rows are locked in the order of their games.
_LOCK = (
    "INSERT INTO consumed (consumer, game, seq, at) SELECT %s, g, 0, %s FROM unnest(%s::text[])"
    " AS g ON CONFLICT (consumer, game) DO UPDATE SET seq = consumed.seq RETURNING game, seq"
)
_MARK = (
    "UPDATE consumed c SET seq = m.seq, at = %s FROM unnest(%s::text[], %s::int4[])"
    " AS m (game, seq) WHERE c.consumer = %s AND c.game = m.game"
)
_FORGET = (
    "DELETE FROM consumed WHERE consumer = %s AND at < %s AND ctid = ANY(ARRAY("
    "SELECT ctid FROM consumed WHERE consumer = %s AND at < %s LIMIT %s))"
)


class Letter(Struct, frozen=True):
    """A dead letter that waits for somebody."""

    place: Place
    game: str
    seq: int
    reason: str
    at: int


class Consumed:
    """What the consumer called `consumer` has settled."""

    def __init__(self, database: Database, consumer: str) -> None:
        """Keep it in `database`."""
        self._database = database
        self._consumer = consumer

    # --- events ----------------------------------------------------------------------------------

    async def check(self) -> None:
        """See that the tables are there.

        Raises:
            psycopg.ProgrammingError: If they aren't, or aren't ours to read.
            Unavailable: If Postgres doesn't answer.
        """
        await self._database.query("SELECT 1 FROM consumed, dead_letters LIMIT 0")

    async def last(self, items: Iterable[Item]) -> dict[str, int]:
        """Return the last settled seq of each item's game, as far as there's any. Locks nothing."""
        games = sorted({item.game for item in items if item.event is not None})
        if not games:
            return {}
        rows = await self._database.query(
            "SELECT game, seq FROM consumed WHERE consumer = %s AND game = ANY(%s::text[])",
            self._consumer,
            games,
        )
        return dict(rows)

    async def lock(self, cursor: Cursor, games: Iterable[str]) -> dict[str, int]:
        """Return each game's last settled seq (0: none), which nobody else can change now."""
        await cursor.execute(_LOCK, (self._consumer, _now(), sorted(set(games))))
        return dict(await cursor.fetchall())

    async def mark(self, cursor: Cursor, seqs: Mapping[str, int]) -> None:
        """Note the last seq of games that are locked."""
        if seqs:
            await cursor.execute(_MARK, (_now(), list(seqs), list(seqs.values()), self._consumer))

    async def forget(self, before: int) -> int:
        """Drop some of what was settled before a time in ms; return how many. 0: that was all."""
        async with self._database.transaction() as cursor:
            mine = (self._consumer, before)
            await cursor.execute(_FORGET, (*mine, *mine, _FORGET_ROWS))
            return cursor.rowcount

    # --- dead letters ----------------------------------------------------------------------------

    async def lettered(self, items: Iterable[Item]) -> set[Place]:
        """Return which of the items that can't be understood are noted as dead letters."""
        places = [item.place for item in items if item.event is None]
        if not places:
            return set()
        rows = await self._database.query(
            'SELECT topic, partition, "offset" FROM dead_letters WHERE consumer = %s'
            ' AND (topic, partition, "offset") IN'
            " (SELECT * FROM unnest(%s::text[], %s::int4[], %s::int8[]))",
            self._consumer,
            *map(list, zip(*places, strict=True)),
        )
        return {Place(*row) for row in rows}

    async def note(self, cursor: Cursor, letters: Sequence[tuple[Item, str]]) -> None:
        """Note dead letters, each with its reason."""
        for item, reason in letters:
            await cursor.execute(
                "INSERT INTO dead_letters VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
                " ON CONFLICT DO NOTHING",
                (self._consumer, *item.place, item.game, item.seq, _text(reason), _now()),
            )

    async def letters(self) -> list[Letter]:
        """Return the dead letters that nobody has settled, oldest first."""
        rows = await self._database.query(
            'SELECT topic, partition, "offset", game, seq, reason, at FROM dead_letters'
            ' WHERE consumer = %s AND settled_at IS NULL ORDER BY at, topic, partition, "offset"',
            self._consumer,
        )
        return [Letter(Place(*row[:3]), *row[3:]) for row in rows]

    async def settle(self, cursor: Cursor, place: Place) -> bool:
        """Note that a dead letter is settled; False if it's none, or was settled before."""
        await cursor.execute(
            "UPDATE dead_letters SET settled_at = %s"
            ' WHERE consumer = %s AND topic = %s AND partition = %s AND "offset" = %s'
            " AND settled_at IS NULL",
            (_now(), self._consumer, *place),
        )
        return cursor.rowcount == 1

    async def blame(self, place: Place, reason: str) -> None:
        """Note why a dead letter failed again."""
        await self._database.query(
            "UPDATE dead_letters SET reason = %s"
            ' WHERE consumer = %s AND topic = %s AND partition = %s AND "offset" = %s',
            _text(reason),
            self._consumer,
            *place,
        )


def _now() -> int:
    return int(time() * 1000)


def _text(reason: str) -> str:
    """Return what Postgres can hold of a reason."""
    return reason.encode(errors="replace").decode().replace("\0", "\\0")[:_MOST_REASON]
