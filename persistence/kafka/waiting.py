"""The rows of the outbox: a partition's events that wait for Kafka, round by round.

A round begins with a switch and is over with the transaction that ends its drain. What is left of
it then is in Kafka, and no statement here but `sweep` looks at another round than its caller's.
Reading, too, goes in pages: none takes longer than a statement may.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from persistence.log import Record

Cursor = Any
"""psycopg's, inside a transaction."""

PAGE = 1000
"""So many rows are read at a time."""
SWEPT = 5000
"""So many are deleted at a time."""

# A subquery, not a join: then it's a walk along the primary key, however many rows there are.
_PAGE = (
    "SELECT game, seq, value, key FROM outbox WHERE partition = %s AND place >= %s"
    " AND round = (SELECT round FROM partitions WHERE id = %s AND mode = 'outbox')"
    " ORDER BY place LIMIT %s"
)
_OVER = (
    "DELETE FROM outbox WHERE partition = %s AND (round, place) IN (SELECT round, place FROM outbox"
    " WHERE partition = %s AND round <"
    " (SELECT CASE mode WHEN 'outbox' THEN round ELSE round + 1 END FROM partitions WHERE id = %s)"
    " ORDER BY round, place LIMIT %s)"
)


async def page(cursor: Cursor, partition: int, place: int, most: int = PAGE) -> list[Record]:
    """Return rows of the partition's round from `place` on, in order."""
    await cursor.execute(_PAGE, (partition, place, partition, most))
    return [Record(*found) for found in await cursor.fetchall()]


async def count(cursor: Cursor, partition: int, round_: int) -> int:
    """Return how many rows a round has: their places are dense."""
    await cursor.execute(
        "SELECT coalesce(max(place) + 1, 0) FROM outbox WHERE partition = %s AND round = %s",
        (partition, round_),
    )
    return (await cursor.fetchone())[0]


async def taken(cursor: Cursor, records: Sequence[Record]) -> bool:
    """Whether another event has the number of one of these."""
    await cursor.execute(
        "SELECT 1 FROM outbox o JOIN unnest(%s::text[], %s::int4[]) AS r (game, seq)"
        " ON o.game = r.game AND o.seq = r.seq LIMIT 1",
        ([r.game for r in records], [r.seq for r in records]),
    )
    return await cursor.fetchone() is not None


async def insert(
    cursor: Cursor, partition: int, round_: int, place: int, records: Sequence[Record]
) -> None:
    """Add rows to a round, from `place` on."""
    if records:
        games, seqs, values, keys = zip(*records, strict=True)
        await cursor.execute(
            "INSERT INTO outbox (partition, round, place, game, seq, value, key)"
            " SELECT %s, %s, %s + r.n - 1, r.game, r.seq, r.value, r.key"
            " FROM unnest(%s::text[], %s::int4[], %s::bytea[], %s::bytea[])"
            " WITH ORDINALITY AS r (game, seq, value, key, n)",
            (partition, round_, place, list(games), list(seqs), list(values), list(keys)),
        )


async def sweep(cursor: Cursor, partition: int, most: int = SWEPT) -> int:
    """Delete some rows of rounds that are over; return how many they were.

    It needs no lock: a round that is over never begins again.
    """
    await cursor.execute(_OVER, (partition, partition, partition, most))
    return cursor.rowcount
