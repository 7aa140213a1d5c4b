"""What can be wrong with the stored games: log, checkpoints and histories, held side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
from msgspec import Struct

from gateway.replay import CONNECT_S, read_history

_SAMPLE = 200
_NAMED = 5
_PINNED_S = 1800.0
"""An event is saved after five minutes at most (`ShardSettings.snapshot_after`), unless its game
can't be: in quarantine, or with an effect that another game doesn't take."""

# Only what a replay would read: the rest of the log is as old as its retention, and without an
# index by game.
_TAIL = (
    "WITH tail AS (SELECT e.* FROM partitions p JOIN events e ON e.partition = p.id"
    ' AND e."offset" >= p.checkpoint AND e."offset" < p.head) '
)
_BEYOND = "SELECT id, checkpoint, head FROM partitions WHERE checkpoint > head ORDER BY id"
_HOLES = _TAIL + (  # noqa: S608  (words of our own)
    "SELECT p.id FROM partitions p LEFT JOIN tail ON tail.partition = p.id"
    " WHERE p.checkpoint <= p.head"
    ' GROUP BY p.id HAVING count(tail."offset") <> p.head - p.checkpoint ORDER BY p.id'
)
# Seqs run on from the stored one, each once. What is stored already may be in the tail, too.
_BROKEN = _TAIL + (  # noqa: S608  (ditto)
    "SELECT t.game FROM tail t LEFT JOIN games g ON g.id = t.game GROUP BY t.game, g.seq"
    " HAVING count(*) <> count(DISTINCT t.seq) OR greatest(max(t.seq) - coalesce(g.seq, 0), 0)"
    " <> count(DISTINCT t.seq) FILTER (WHERE t.seq > coalesce(g.seq, 0)) ORDER BY t.game"
)
_PINNED = (
    "SELECT p.id, p.head - p.checkpoint, e.game, e.seq,"
    " extract(epoch FROM clock_timestamp()) - e.at / 1000.0 AS age"
    ' FROM partitions p JOIN events e ON e.partition = p.id AND e."offset" = p.checkpoint'
    " ORDER BY p.id"
)
_NEWEST = "SELECT id, seq, history FROM games ORDER BY taken_at DESC LIMIT %s"


class Finding(Struct, frozen=True):
    """One thing that was looked at, in words for an operator."""

    well: bool
    what: str


def audit(dsn: str) -> Iterator[Finding]:
    """Yield what there is to say about the games in a database; that it's away is said, too."""
    try:
        with psycopg.connect(dsn, connect_timeout=CONNECT_S) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            yield Finding(True, "Postgres answers")
            if _log(connection) == "postgres":
                yield from _partitions(connection)
                yield from _events(connection)
            yield from _histories(connection)
    except psycopg.Error as error:
        yield Finding(False, f"Postgres doesn't answer: {str(error).strip()}")


def _log(connection: psycopg.Connection[Any]) -> str:
    row = connection.execute("SELECT log FROM installation").fetchone()
    return row[0] if row else "postgres"


def _partitions(connection: psycopg.Connection[Any]) -> Iterator[Finding]:
    for partition, checkpoint, head in connection.execute(_BEYOND):
        yield Finding(False, f"partition {partition}: checkpoint {checkpoint} beyond head {head}")


def _events(connection: psycopg.Connection[Any]) -> Iterator[Finding]:
    holes = [partition for (partition,) in connection.execute(_HOLES)]
    yield Finding(not holes, f"partitions with holes in the log: {_named(holes)}")
    broken = [game for (game,) in connection.execute(_BROKEN)]
    yield Finding(not broken, f"games whose events aren't in the log once each: {_named(broken)}")
    for partition, events, game, seq, age in connection.execute(_PINNED):
        if age > _PINNED_S:
            yield Finding(
                False,
                f"partition {partition}: a take-over must read {events} events, {age / 3600:.1f} h"
                f" of them, because game {game} isn't saved from seq {seq} on. Its shard's log says"
                " why; once that's mended, restart the shard.",
            )


def _histories(connection: psycopg.Connection[Any]) -> Iterator[Finding]:
    rows = connection.execute(_NEWEST, (_SAMPLE,)).fetchall()
    torn = {game: found for game, seq, data in rows if (found := read_history(data, seq)[1])}
    yield Finding(
        not torn, f"of the {len(rows)} newest stored games, {len(torn)} have a wrong history"
    )
    for game, found in list(torn.items())[:_NAMED]:
        yield Finding(False, f"game {game}: {'; '.join(found)}")


def _named(things: list[Any]) -> str:
    more = f" and {len(things) - _NAMED} more" if len(things) > _NAMED else ""
    return ", ".join(map(str, things[:_NAMED])) + more if things else "none"
