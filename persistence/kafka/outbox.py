"""The Postgres half of a partition whose log is Kafka: its row, and the events that wait.

Every request is one transaction that holds the partition's row locked, so that a newer owner waits
for it, and an older one finds the row changed (rule 3 of the protocol in docs/OWNERSHIP.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from operator import attrgetter
from typing import Any

from persistence import postgres_snapshots
from persistence.database import Database
from persistence.kafka import waiting
from persistence.log import Fenced, LogError, Record, Unavailable, Unsaved
from persistence.ownership.actions import (
    AppendRows,
    FinishDrain,
    LoadOutbox,
    NoteProducer,
    OpenRow,
    RaiseVersion,
    ReadRow,
    ReadRows,
    Request,
    SwitchRow,
)
from persistence.ownership.answers import (
    Answer,
    Appended,
    Conflicting,
    NotOurs,
    RowRead,
    RowsRead,
)
from persistence.ownership.row import Row
from persistence.rows import COLUMNS, Opened, open_row

_SELECT = f"SELECT {COLUMNS} FROM partitions WHERE id = %s"
_RETURN = f" RETURNING {COLUMNS}"
_AND_ROUND = ", round"
_OURS = " WHERE id = %s AND epoch = %s AND version = %s"
_TRIES = 4
_BREATH_S = 0.05
"""Between two pieces of what is deleted, others write."""


class Foreign(LogError):  # noqa: N818  (what it is)
    """The partition's events are in another kind of log."""


class Outbox:
    """Performs the requests for Postgres, one at a time.

    Each method may raise `Unavailable`: then it may have happened, or not.
    """

    def __init__(self, database: Database) -> None:
        """Work on `database`."""
        self._database = database
        self._tidying = asyncio.Lock()
        self._performed: dict[type[Request], Callable[[int, Any], Awaitable[Answer]]] = {
            ReadRow: self._read_row,
            NoteProducer: self._note_producer,
            RaiseVersion: self._raise_version,
            AppendRows: self._append,
            ReadRows: self._read_rows,
            FinishDrain: self._finish_drain,
        }

    async def perform(self, partition: int, request: Request) -> Answer:
        """Perform a request that needs nothing of the owner; the others have a method each.

        Raises:
            KeyError: If it's none for Postgres.
        """
        return await self._performed[type(request)](partition, request)

    # --- the row ---------------------------------------------------------------------------------

    async def open(self, partition: int, request: OpenRow) -> tuple[Answer, Opened | None]:
        """See `OpenRow`; also return what a claim tells of the time before.

        Raises:
            Foreign: If the partition has events in Postgres's own log.
        """
        try:
            async with self._database.transaction() as cursor:
                opened = await open_row(cursor, partition, request.epoch, request.owner)
                if opened.row.mode == "log":
                    opened = await _adopt(cursor, partition, opened)
        except Fenced:
            return NotOurs(request.number), None
        return RowRead(request.number, opened.row), opened

    async def _read_row(self, partition: int, request: ReadRow) -> Answer:
        """See `ReadRow`."""
        [row] = await self._database.query(_SELECT, partition)
        return RowRead(request.number, Row(*row))

    async def _note_producer(self, partition: int, request: NoteProducer) -> Answer:
        """See `NoteProducer`."""
        return _read(
            request.number,
            await self._database.query(
                "UPDATE partitions SET producer_id = %s WHERE id = %s AND epoch = %s" + _RETURN,
                request.producer_id,
                partition,
                request.epoch,
            ),
        )

    async def _raise_version(self, partition: int, request: RaiseVersion) -> Answer:
        """See `RaiseVersion`."""
        return _read(
            request.number,
            await self._database.query(
                "UPDATE partitions SET version = version + 1 WHERE id = %s AND epoch = %s"
                + _RETURN,
                partition,
                request.epoch,
            ),
        )

    # --- there and back --------------------------------------------------------------------------

    async def switch(
        self,
        partition: int,
        request: SwitchRow,
        rows: Sequence[Record],
        unsaved: Sequence[Unsaved],
        checkpoint: int,
    ) -> Answer:
        """See `SwitchRow`. `rows` are the request's and those that came since.

        Everything below `checkpoint` is in the store once `unsaved` are.
        """
        async with self._database.transaction() as cursor:
            await cursor.execute(
                "UPDATE partitions SET mode = 'outbox', round = round + 1, kafka_offset = %s,"
                " version = version + 1, checkpoint = greatest(checkpoint, %s)"
                + (_OURS + " AND mode = 'kafka'" + _RETURN + _AND_ROUND),
                (request.offset, checkpoint, partition, request.epoch, request.version),
            )
            found: Any = await cursor.fetchone()
            if found is None:
                return NotOurs(request.number)
            await waiting.insert(cursor, partition, found[-1], 0, rows)
            await _save(cursor, unsaved)
            return RowRead(request.number, Row(*found[:-1]))

    async def _finish_drain(self, partition: int, request: FinishDrain) -> Answer:
        """See `FinishDrain`. The rows stay until they are swept: their round is over."""
        async with self._database.transaction() as cursor:
            await cursor.execute(
                "UPDATE partitions SET mode = 'kafka', version = version + 1"
                + _OURS
                + " AND mode = 'outbox'"
                + (_RETURN + _AND_ROUND),
                (partition, request.epoch, request.version),
            )
            found: Any = await cursor.fetchone()
            if found is None:
                return NotOurs(request.number)
            places = await waiting.count(cursor, partition, found[-1])
            if places != request.places:
                raise AssertionError(
                    f"partition {partition}: the outbox held {places} rows,"
                    f" {request.places} are in Kafka"
                )
            return RowRead(request.number, Row(*found[:-1]))

    async def tidy(self, partition: int) -> None:
        """Delete what is left of rounds that are over, in pieces, one partition after another.

        Appends and claims use the same connection: between two pieces they have their turn.
        """
        async with self._tidying:
            while await self.sweep(partition):  # noqa: ASYNC110  (it works)
                await asyncio.sleep(_BREATH_S)

    async def sweep(self, partition: int) -> bool:
        """Delete some of what earlier rounds have left; return whether there may be more."""
        async with self._database.transaction() as cursor:
            return await waiting.sweep(cursor, partition) == waiting.SWEPT

    # --- rows ------------------------------------------------------------------------------------

    async def _append(self, partition: int, request: AppendRows) -> Answer:
        """See `AppendRows`."""
        async with self._ours(partition, request.epoch, request.version) as (cursor, round_):
            if round_ is None:
                return NotOurs(request.number)
            present = await waiting.page(cursor, partition, request.place, len(request.rows))
            if present != list(request.rows[: len(present)]):
                return Conflicting(request.number)
            absent = request.rows[len(present) :]
            if await waiting.taken(cursor, absent):
                return Conflicting(request.number)
            place = request.place + len(present)
            await waiting.insert(cursor, partition, round_, place, absent)
            return Appended(request.number)

    async def _read_rows(self, partition: int, request: ReadRows) -> Answer:
        """See `ReadRows`."""
        async with self._database.transaction() as cursor:
            return RowsRead(request.number, await waiting.page(cursor, partition, request.place))

    async def load(self, partition: int, request: LoadOutbox) -> list[Record] | None:
        """Return all rows, if the row's (epoch, version) hold; see `LoadOutbox`.

        As long as they hold, nobody else adds a row or ends the round: so pages that were read
        one after the other, each under them, are of one moment.
        """
        rows: list[Record] = []
        while True:
            async with self._ours(partition, request.epoch, request.version) as (cursor, round_):
                if round_ is None:
                    return None
                found = await waiting.page(cursor, partition, len(rows))
            rows += found
            if len(found) < waiting.PAGE:
                return rows

    async def peek(self, partition: int) -> tuple[Row, list[Record]]:
        """Return the row and all events that wait, for a reader of both places.

        Of a round that ends meanwhile it may return less: all of it is in Kafka then, which is
        read after.
        """
        rows: list[Record] = []
        reading: int | None = None
        while True:
            async with self._database.transaction() as cursor:
                await cursor.execute(
                    f"SELECT {COLUMNS}, round FROM partitions WHERE id = %s FOR SHARE", (partition,)
                )
                row: Any = await cursor.fetchone()
                round_ = row[-1]
                if round_ != reading:
                    rows, reading = [], round_
                found = await waiting.page(cursor, partition, len(rows))
            rows += found
            if len(found) < waiting.PAGE:
                return Row(*row[:-1]), rows

    @asynccontextmanager
    async def _ours(
        self, partition: int, epoch: int, version: int
    ) -> AsyncGenerator[tuple[Any, int | None]]:
        """Hold the row locked and give its round; None if it isn't this epoch's and version's."""
        async with self._database.transaction() as cursor:
            await cursor.execute(
                "SELECT round FROM partitions" + _OURS + " AND mode = 'outbox' FOR NO KEY UPDATE",
                (partition, epoch, version),
            )
            found: Any = await cursor.fetchone()
            yield cursor, found[0] if found is not None else None


def _read(number: int, found: Sequence[tuple[Any, ...]]) -> Answer:
    return RowRead(number, Row(*found[0])) if found else NotOurs(number)


async def _adopt(cursor: Any, partition: int, opened: Opened) -> Opened:
    """A partition that has no event yet goes to Kafka from now on."""
    if opened.row.head:
        raise Foreign(f"partition {partition} has events in Postgres's own log, not in Kafka")
    await cursor.execute(
        "UPDATE partitions SET mode = 'kafka' WHERE id = %s" + _RETURN, (partition,)
    )
    row = Row(*await cursor.fetchone())
    return Opened(row, opened.alive_until, opened.at, opened.outages)


async def _save(cursor: Any, unsaved: Sequence[Unsaved]) -> None:
    """Write the games as they are onto what the store holds, whichever seq that is."""
    left = sorted(unsaved, key=attrgetter("game"))
    for _ in range(_TRIES):
        games = [game.game for game in left]
        await cursor.execute("SELECT id, seq FROM games WHERE id = ANY(%s) FOR UPDATE", (games,))
        held: dict[str, int] = dict(await cursor.fetchall())
        left = [game for game in left if held.get(game.game, 0) < game.seq]
        if not left:
            return
        # A game that wasn't there had no row to lock: a first snapshot may have come meanwhile.
        await postgres_snapshots.save(cursor, [g.since(held.get(g.game, 0)) for g in left])
    raise Unavailable(f"{len(left)} games can't be saved with the switch")
