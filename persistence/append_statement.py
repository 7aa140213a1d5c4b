"""The hot statement: its SQL, and the appends as its parameters, encoded by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec import Struct

from persistence import arrays
from persistence.log import Record

_LARGEST = 256 << 20
APPEND_TYPES = "int4[], int8[], int8[], int4[], int4[], int4[], text[], int4[], bytea[], bytea[]"
APPEND = """
WITH clock AS MATERIALIZED (
    SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8 AS now
), held AS (
    UPDATE partitions p
    SET head = p.head + a.n, alive_until = greatest(p.alive_until, (SELECT now FROM clock))
    FROM unnest($1, $2, $3, $4) AS a (id, epoch, version, n)
    WHERE p.id = a.id AND p.epoch = a.epoch AND p.version = a.version
    RETURNING p.id, p.head - a.n AS first
), added AS (
    INSERT INTO events (partition, "offset", game, seq, key, value, at)
    SELECT r.partition, held.first + r.place, r.game, r.seq, r.key, r.value,
        (SELECT now FROM clock)
    FROM unnest($5, $6, $7, $8, $9, $10) AS r (partition, place, game, seq, key, value)
    JOIN held ON held.id = r.partition
)
SELECT id, first FROM held
"""


class Entry(Struct, eq=False):
    """One append with its records as columns, encoded once however often it's sent.

    Attributes:
        first: The offset that it gets, if the statement lands; set when it's sent.
    """

    partition: int
    epoch: int
    count: int
    games: bytes
    seqs: bytes
    keys: bytes
    values: bytes
    future: asyncio.Future[int]
    first: int = 0


class Owned(Struct):
    """What we know of a row that is ours."""

    epoch: int
    version: int
    head: int


def encode(
    partition: int, epoch: int, records: Sequence[Record], future: asyncio.Future[int]
) -> Entry:
    """Return the append of `records` with its columns encoded.

    Raises:
        ValueError: If there are none, or Postgres can't hold one (a NUL in the game's id, a seq
            beyond 31 bits, more than 256 MiB).
    """
    if not records:
        raise ValueError("nothing to append")
    games, seqs, values, keys = zip(*records, strict=True)
    encoded = arrays.byteas([game.encode() for game in games])
    if "\0" in "".join(games):
        raise ValueError("a game's id holds a NUL")
    if min(seqs) < 0 or max(seqs) >= 1 << 31:
        raise ValueError("a seq is beyond 31 bits")
    stored = arrays.byteas(values)
    if len(stored) > _LARGEST:
        raise ValueError(f"{len(stored)} bytes are too many for one append")
    return Entry(
        partition,
        epoch,
        len(records),
        encoded,
        arrays.int4s(seqs),
        arrays.byteas(keys),
        stored,
        future,
    )


def parameters(entries: Sequence[Entry], owned: Sequence[Owned]) -> list[bytes]:
    """Return the statement's parameters for `entries`, one a partition, each with its row."""
    n, total = len(entries), sum([entry.count for entry in entries])
    array, int4s = arrays.array, arrays.int4s
    ids = [int4s([entry.partition]) for entry in entries]
    return [
        array(arrays.INT4, n, b"".join(ids)),
        array(arrays.INT8, n, arrays.int8s([mine.epoch for mine in owned])),
        array(arrays.INT8, n, arrays.int8s([mine.version for mine in owned])),
        array(arrays.INT4, n, int4s([entry.count for entry in entries])),
        array(
            arrays.INT4,
            total,
            b"".join([id_ * e.count for id_, e in zip(ids, entries, strict=True)]),
        ),
        array(arrays.INT4, total, b"".join([arrays.counting(e.count) for e in entries])),
        array(arrays.TEXT, total, b"".join([entry.games for entry in entries])),
        array(arrays.INT4, total, b"".join([entry.seqs for entry in entries])),
        array(arrays.BYTEA, total, b"".join([entry.keys for entry in entries])),
        array(arrays.BYTEA, total, b"".join([entry.values for entry in entries])),
    ]
