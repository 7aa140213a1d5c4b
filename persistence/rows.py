"""The row of a partition, opened, read, touched: the same whatever its log is.

Everything here is one transaction, or part of its caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from persistence.database import Database
from persistence.log import Fenced
from persistence.ownership.row import Row

Cursor = Any
"""psycopg's, inside a transaction."""

COLUMNS = "epoch, owner, mode, version, head, kafka_offset, checkpoint, producer_id"
REMEMBERED_MS = 30 * 24 * 3_600_000
"""Outages are told for so long, and then forgotten: the longest clock of a move is two weeks, so a
game that wasn't asked for in a month has none that an older outage could excuse."""


class Opened(Struct, frozen=True):
    """A row that was opened.

    Attributes:
        row: As it is now.
        alive_until: Until when the owner before is known to have lived; 0 if there was none.
        at: When it was opened, by Postgres's clock. Both in ms since the epoch.
        outages: Every (from, to) of the last 30 days without an owner.
    """

    row: Row
    alive_until: int
    at: int
    outages: Sequence[tuple[int, int]]


Claimed = tuple[int, int, str]
"""A partition, the epoch to open it at, and by whom."""

_LOOK = (
    f"SELECT id, opened_epoch, alive_until, (extract(epoch FROM clock_timestamp()) * 1000)::int8,"
    f" {COLUMNS} FROM partitions WHERE id = ANY(%s::int4[]) FOR UPDATE"
)


async def open_row(cursor: Cursor, partition: int, epoch: int, owner: str) -> Opened:
    """Open `partition` at `epoch`, once; note the outage before, if there was one.

    Raises:
        Fenced: If the row names another owner or epoch, or this epoch was opened before.
    """
    claimed = (partition, epoch, owner)
    await cursor.execute(_LOOK, ([partition],))
    opened = (await _open(cursor, [claimed], await cursor.fetchall())).get(claimed)
    if opened is None:
        raise Fenced(partition, epoch)
    return opened


async def open_rows(cursor: Cursor, asked: Sequence[Claimed]) -> dict[Claimed, Opened | None]:
    """Open several partitions as `open_row` does; None: it would raise `Fenced`.

    Who is missing in the answer must be opened alone: the row is locked just now, and who waits
    for one row while they hold another may wait for each other.
    """
    await cursor.execute(f"{_LOOK} SKIP LOCKED", ([partition for partition, _, _ in asked],))
    found: Any = await cursor.fetchall()
    free = {row[0] for row in found}
    opened = await _open(cursor, asked, found)
    return {claimed: opened.get(claimed) for claimed in asked if claimed[0] in free}


async def _open(
    cursor: Cursor, asked: Sequence[Claimed], found: Sequence[Any]
) -> dict[Claimed, Opened]:
    """Open those of the locked rows `found` that may be; return them."""
    rows = {row[0]: row for row in found}
    times: dict[int, tuple[int, int]] = {}
    for partition, epoch, owner in asked:
        _, opened_epoch, alive_until, now, *columns = rows.get(partition, (0, 0, 0, 0, -1, ""))
        if columns[:2] == [epoch, owner] and opened_epoch < epoch:
            times[partition] = (alive_until, max(now, alive_until))
    if not times:
        return {}
    ends = [at for _, at in times.values()]
    await cursor.execute(
        "UPDATE partitions p SET opened_epoch = epoch, version = version + 1, alive_until = a.at"
        " FROM unnest(%s::int4[], %s::int8[]) AS a (id, at) WHERE p.id = a.id"
        f" RETURNING p.id, {COLUMNS}",
        (list(times), ends),
    )
    taken = {partition: Row(*row) for partition, *row in await cursor.fetchall()}
    await cursor.execute(
        "INSERT INTO outages SELECT * FROM unnest(%s::int4[], %s::int8[], %s::int8[])"
        " AS a (partition, since, until) WHERE 0 < since AND since < until ON CONFLICT DO NOTHING",
        (list(times), [since for since, _ in times.values()], ends),
    )
    await cursor.execute(
        "SELECT o.partition, since, until FROM outages o"
        " JOIN unnest(%s::int4[], %s::int8[]) AS a (partition, at) ON o.partition = a.partition"
        " AND until > a.at - %s ORDER BY since",
        (list(times), ends, REMEMBERED_MS),
    )
    outages: dict[int, list[tuple[int, int]]] = {partition: [] for partition in times}
    for partition, since, until in await cursor.fetchall():
        outages[partition].append((since, until))
    return {
        claimed: Opened(taken[claimed[0]], *times[claimed[0]], tuple(outages[claimed[0]]))
        for claimed in asked
        if claimed[0] in times and (taken[claimed[0]].epoch, taken[claimed[0]].owner) == claimed[1:]
    }


async def touch(database: Database, owned: Sequence[tuple[int, int]]) -> Sequence[int]:
    """See `EventLog.touch`."""
    # A row that is locked just now is passed by: an append that is under way touches it itself,
    # and waiting for several locks in another order than it does would be a deadlock.
    rows = await database.query(
        "WITH mine AS (SELECT p.id FROM partitions p"
        " JOIN unnest(%s::int4[], %s::int8[]) AS o (id, epoch)"
        " ON p.id = o.id AND p.epoch = o.epoch FOR NO KEY UPDATE OF p SKIP LOCKED),"
        " touched AS (UPDATE partitions p SET alive_until = greatest(alive_until,"
        " (extract(epoch FROM clock_timestamp()) * 1000)::int8)"
        " FROM mine WHERE p.id = mine.id)"
        " SELECT id, epoch FROM partitions WHERE id = ANY(%s::int4[])",
        [partition for partition, _ in owned],
        [epoch for _, epoch in owned],
        [partition for partition, _ in owned],
    )
    held = {(partition, epoch) for partition, epoch in rows}
    return [mine[0] for mine in owned if mine not in held]
