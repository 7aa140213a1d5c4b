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


async def open_row(cursor: Cursor, partition: int, epoch: int, owner: str) -> Opened:
    """Open `partition` at `epoch`, once; note the outage before, if there was one.

    Raises:
        Fenced: If the row names another owner or epoch, or this epoch was opened before.
    """
    await cursor.execute(
        f"SELECT {COLUMNS}, opened_epoch, alive_until,"
        " (extract(epoch FROM clock_timestamp()) * 1000)::int8"
        " FROM partitions WHERE id = %s FOR UPDATE",
        (partition,),
    )
    found: Any = await cursor.fetchone()
    if found is None or found[:2] != (epoch, owner) or found[-3] >= epoch:
        raise Fenced(partition, epoch)
    alive_until, now = found[-2:]
    at = max(now, alive_until)
    await cursor.execute(
        "UPDATE partitions SET opened_epoch = epoch, version = version + 1, alive_until = %s"
        f" WHERE id = %s RETURNING {COLUMNS}",
        (at, partition),
    )
    row = Row(*await cursor.fetchone())
    if 0 < alive_until < at:
        await cursor.execute(
            "INSERT INTO outages VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (partition, alive_until, at),
        )
    await cursor.execute(
        "SELECT since, until FROM outages WHERE partition = %s AND until > %s ORDER BY 1",
        (partition, at - REMEMBERED_MS),
    )
    outages = tuple((since, until) for since, until in await cursor.fetchall())
    return Opened(row, alive_until, at, outages)


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
