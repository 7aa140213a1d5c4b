"""The outbox's rows in a real Postgres: rounds, pages, and what is left of a round that is over."""

import pytest

from persistence.database import Database
from persistence.kafka import waiting
from persistence.kafka.outbox import Outbox
from persistence.log import Record
from persistence.ownership.actions import (
    AppendRows,
    FinishDrain,
    LoadOutbox,
    RaiseVersion,
    ReadRows,
    SwitchRow,
)
from persistence.ownership.answers import Appended, NotOurs, RowRead


def records(first: int, count: int) -> list[Record]:
    return [Record("g", seq, b"%d" % seq) for seq in range(first, first + count)]


class Owner:
    """An owner of partition 0 at epoch 1, who knows its version."""

    def __init__(self, dsn: str) -> None:
        self.database = Database(dsn)
        self.outbox = Outbox(self.database)
        self.version = 0

    async def begin(self) -> None:
        await self.database.query(
            "UPDATE partitions SET epoch = 1, owner = 'me', mode = 'kafka' WHERE id = 0"
        )

    async def switch(self, rows: list[Record], offset: int) -> None:
        request = SwitchRow(1, 1, self.version, offset, rows)
        self.version = self.took(await self.outbox.switch(0, request, rows, [], offset))

    async def finish(self, places: int) -> None:
        request = FinishDrain(1, 1, self.version, places)
        self.version = self.took(await self.outbox.perform(0, request))

    def took(self, answer: object) -> int:
        assert isinstance(answer, RowRead), answer
        return answer.row.version

    async def append(self, place: int, rows: list[Record]) -> object:
        return await self.outbox.perform(0, AppendRows(1, 1, self.version, place, rows))

    async def load(self) -> list[Record] | None:
        return await self.outbox.load(0, LoadOutbox(1, 1, self.version))

    async def read(self, place: int) -> list[Record]:
        return list((await self.outbox.perform(0, ReadRows(1, place))).rows)

    async def stored(self) -> int:
        [[count]] = await self.database.query("SELECT count(*) FROM outbox")
        return count


@pytest.fixture
async def owner(dsn):
    owner = Owner(dsn)
    await owner.begin()
    yield owner
    await owner.database.close()


async def test_what_is_left_of_a_round_is_never_read_again(owner):
    """Neither by a drain, nor by the next owner, nor by a reader; the next round begins at 0."""
    await owner.switch(records(1, 3), 10)
    await owner.finish(3)
    assert await owner.stored() == 3
    assert (await owner.load(), await owner.read(0)) == (None, [])
    assert (await owner.outbox.peek(0))[1] == []
    await owner.switch(records(5, 2), 20)
    assert isinstance(await owner.append(2, records(7, 1)), Appended)
    assert await owner.load() == await owner.read(0) == records(5, 3)
    row, rows = await owner.outbox.peek(0)
    assert (row.offset, rows) == (20, records(5, 3))


async def test_a_sweep_takes_what_is_over_in_pieces_and_nothing_else(owner, monkeypatch):
    """Whatever the partition does meanwhile."""
    monkeypatch.setattr(waiting, "SWEPT", 2)
    await owner.switch(records(1, 3), 10)
    assert not await owner.outbox.sweep(0)
    assert await owner.stored() == 3
    await owner.finish(3)
    await owner.switch(records(5, 4), 20)
    async with owner.database.transaction() as cursor:
        assert await waiting.sweep(cursor, 0, 2) == 2
        assert await waiting.sweep(cursor, 0, 2) == 1
        assert await waiting.sweep(cursor, 0, 2) == 0
    assert await owner.load() == records(5, 4)
    await owner.finish(4)
    async with owner.database.transaction() as cursor:
        assert await waiting.sweep(cursor, 0, 99) == 4
    assert await owner.stored() == 0


async def test_a_drain_that_missed_a_row_is_a_defect(owner):
    """The count of places is the round's own: what is left of another doesn't help."""
    await owner.switch(records(1, 3), 10)
    await owner.finish(3)
    await owner.switch(records(5, 2), 20)
    with pytest.raises(AssertionError, match="held 2 rows, 1 are in Kafka"):
        await owner.finish(1)
    assert await owner.load() == records(5, 2)
    await owner.finish(2)


async def test_many_rows_are_read_in_pages_that_are_of_one_moment(owner, monkeypatch):
    """If a newer owner comes between two of them, there is no answer at all."""
    await owner.switch(records(1, 2 * waiting.PAGE + 7), 10)
    assert await owner.load() == records(1, 2 * waiting.PAGE + 7)
    assert (await owner.outbox.peek(0))[1] == records(1, 2 * waiting.PAGE + 7)
    assert len(await owner.read(0)) == waiting.PAGE
    page = waiting.page

    async def overtaken(cursor, partition, place):
        found = await page(cursor, partition, place)
        if place == 0:
            await cursor.execute("UPDATE partitions SET version = version + 1 WHERE id = 0")
        return found

    monkeypatch.setattr(waiting, "page", overtaken)
    assert await owner.load() is None


async def test_a_reader_begins_anew_with_a_round_that_began_meanwhile(owner, monkeypatch):
    """It never joins pages of two rounds."""
    await owner.switch(records(1, waiting.PAGE + 1), 10)
    page = waiting.page
    pages: list[int] = []

    async def between(cursor, partition, place):
        found = await page(cursor, partition, place)
        pages.append(place)
        if len(pages) == 1:
            await cursor.execute("UPDATE partitions SET round = 7, kafka_offset = 90 WHERE id = 0")
            await waiting.insert(cursor, 0, 7, 0, records(5000, 2))
        return found

    monkeypatch.setattr(waiting, "page", between)
    row, rows = await owner.outbox.peek(0)
    assert (row.offset, rows) == (90, records(5000, 2))


async def test_an_older_owner_neither_appends_nor_ends_a_round(owner):
    """Its version doesn't hold any more."""
    await owner.switch(records(1, 2), 10)
    await owner.outbox.perform(0, RaiseVersion(1, 1))
    assert isinstance(await owner.append(2, records(3, 1)), NotOurs)
    assert isinstance(await owner.outbox.perform(0, FinishDrain(1, 1, owner.version, 2)), NotOurs)
    assert await owner.load() is None
