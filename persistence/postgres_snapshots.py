"""Snapshots, history and the list of ended games in Postgres."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from persistence.database import Database
from persistence.encoded import Encoded, byteas, int4s, int8s, texts
from persistence.gathering import Gathering
from persistence.snapshots import Played, Snapshot, Stored

_log = logging.getLogger(__name__)
_FETCH = 5000
_NEVER = -1

_SAVE = """
WITH s AS (
    SELECT id, partition, kind, base, seq, status, moves, nullif(deadline, -1) AS deadline, seats,
        taken_at, state, chunk
    FROM unnest(%s::text[], %s::int4[], %s::text[], %s::int4[], %s::int4[], %s::text[],
        %s::int4[], %s::int8[], %s::text[], %s::int8[], %s::bytea[], %s::bytea[])
        AS s (id, partition, kind, base, seq, status,
            moves, deadline, seats, taken_at, state, chunk)
), fresh AS (
    INSERT INTO games (id, partition, kind, seq, status, moves, deadline, seats, taken_at, state,
        history, ended_at)
    SELECT id, partition, kind, seq, status, moves, deadline, seats::jsonb, taken_at, state,
        int4send(length(chunk)) || chunk, CASE WHEN status = 'ended' THEN taken_at END
    FROM s WHERE base = 0
    ON CONFLICT (id) DO NOTHING
    RETURNING id, seq, ended_at
), moved AS (
    UPDATE games g
    SET seq = s.seq, status = s.status, moves = s.moves, deadline = s.deadline,
        seats = s.seats::jsonb, taken_at = s.taken_at, state = s.state,
        history = g.history || int4send(length(s.chunk)) || s.chunk,
        ended_at = coalesce(g.ended_at, CASE WHEN s.status = 'ended' THEN s.taken_at END)
    FROM s WHERE g.id = s.id AND g.seq = s.base AND s.base > 0
    RETURNING g.id, g.seq, g.ended_at
)
SELECT * FROM fresh UNION ALL SELECT * FROM moved
"""

_ARCHIVE = """
INSERT INTO played (player, ended_at, game, kind, moves)
SELECT * FROM unnest(%s::text[], %s::int8[], %s::text[], %s::text[], %s::int4[])
ON CONFLICT DO NOTHING
"""


class PostgresSnapshots:
    """`persistence.snapshots.SnapshotStore` on Postgres."""

    def __init__(self, database: Database, reads: Database | None = None) -> None:
        """Keep the games in `database`; read by `reads`, so that nobody waits for what is saved."""
        self._database = database
        self._reads = reads or database
        self._loads = Gathering(self._load)

    async def save(self, snapshots: Sequence[Snapshot]) -> dict[str, int]:
        """See `SnapshotStore.save`.

        A snapshot whose ids Postgres can't hold is left out, and the log says so: it mustn't keep
        back those beside it for ever.
        """
        async with self._database.transaction() as cursor:
            return await save(cursor, snapshots)

    async def load(self, games: Sequence[str]) -> dict[str, Stored]:
        """See `SnapshotStore.load`."""
        found = await self._loads.ask(games)
        return {game: found[game] for game in games if game in found}

    async def _load(self, games: Sequence[str]) -> dict[str, Stored]:
        rows = await self._reads.query(
            "SELECT id, kind, seq, state, deadline FROM games WHERE id = ANY(%s)", list(games)
        )
        return {row[0]: Stored(*row) for row in rows}

    async def history(self, game: str) -> Sequence[bytes]:
        """See `SnapshotStore.history`."""
        rows = await self._reads.query("SELECT history FROM games WHERE id = %s", game)
        return cut(rows[0][0]) if rows else []

    async def deadlines(self, partition: int) -> AsyncIterator[Sequence[tuple[str, int]]]:
        """See `SnapshotStore.deadlines`."""
        last = ""
        while True:
            rows: Any = await self._reads.query(
                "SELECT id, deadline FROM games WHERE partition = %s AND timed"
                " AND id > %s ORDER BY id LIMIT %s",
                partition,
                last,
                _FETCH,
            )
            if rows:
                yield rows
                last = rows[-1][0]
            if len(rows) < _FETCH:
                return

    async def played(self, user: str, before: tuple[int, str], limit: int) -> Sequence[Played]:
        """See `SnapshotStore.played`."""
        rows = await self._reads.query(
            "SELECT game, kind, ended_at, moves FROM played"
            " WHERE player = %s AND (ended_at, game) < (%s, %s)"
            " ORDER BY ended_at DESC, game DESC LIMIT %s",
            user,
            *before,
            limit,
        )
        return [Played(*row) for row in rows]

    async def close(self) -> None:
        """See `SnapshotStore.close`."""
        await self._reads.close()
        await self._database.close()


def cut(history: bytes) -> list[bytes]:
    """Return the chunks of a stored history, each of which has its length before it.

    Raises:
        ValueError: If it ends in the middle of one.
    """
    chunks: list[bytes] = []
    at = 0
    while at < len(history):
        end = at + 4 + int.from_bytes(history[at : at + 4], "big")
        if end > len(history):
            raise ValueError(f"a chunk that ends at {end}, beyond {len(history)}")
        chunks.append(history[at + 4 : end])
        at = end
    return chunks


def _storable(snapshot: Snapshot) -> bool:
    """Whether Postgres can hold the snapshot's ids: no NUL, no half of a surrogate pair."""
    ids = "".join((snapshot.game, snapshot.kind, *(seat or "" for seat in snapshot.seats)))
    try:
        storable = b"\0" not in ids.encode()
    except UnicodeEncodeError:
        storable = False
    if not storable:
        _log.error("the game %r can't be stored: an id in it isn't text", snapshot.game)
    return storable


async def save(cursor: Any, snapshots: Sequence[Snapshot]) -> dict[str, int]:
    """Save in the caller's transaction; see `PostgresSnapshots.save`."""
    snapshots = [s for s in snapshots if _storable(s)]
    if not snapshots:
        return {}
    # Rows are locked in this order: two who save the same games don't wait for each other.
    snapshots = sorted(snapshots, key=attrgetter("game"))
    await cursor.execute(_SAVE, _columns(snapshots))
    written = {game: (seq, ended_at) for game, seq, ended_at in await cursor.fetchall()}
    held: dict[str, int] = {game: seq for game, (seq, _) in written.items()}
    ended = [
        (player, written[s.game][1], s.game, s.kind, s.moves)
        for s in snapshots
        if s.status == "ended" and held.get(s.game) == s.seq
        for player in sorted({seat for seat in s.seats if seat is not None})
    ]
    if ended:
        await cursor.execute(_ARCHIVE, [list(column) for column in zip(*ended, strict=True)])
    missing = [s.game for s in snapshots if s.game not in held]
    if missing:
        await cursor.execute("SELECT id, seq FROM games WHERE id = ANY(%s)", (missing,))
        held.update(dict(await cursor.fetchall()))
    return held


def _columns(snapshots: Sequence[Snapshot]) -> list[Encoded]:
    return [
        texts([s.game for s in snapshots]),
        int4s([s.partition for s in snapshots]),
        texts([s.kind for s in snapshots]),
        int4s([s.base for s in snapshots]),
        int4s([s.seq for s in snapshots]),
        texts([s.status for s in snapshots]),
        int4s([s.moves for s in snapshots]),
        int8s([_NEVER if s.deadline is None else s.deadline for s in snapshots]),
        texts([msgspec.json.encode(s.seats).decode() for s in snapshots]),
        int8s([s.taken_at for s in snapshots]),
        byteas([s.state for s in snapshots]),
        byteas([s.chunk for s in snapshots]),
    ]
