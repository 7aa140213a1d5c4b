"""What any event log must keep. An implementation's tests inherit `LogConformance` and say, in the
fixture `logs`, how two independent owners reach the same log."""

import asyncio

import pytest
from persistence.log import Fenced, Record


def records(game: str, start: int, count: int) -> list[Record]:
    return [Record(game, start + i, b'{"n":%d}' % (start + i), b"k" * (i % 2)) for i in range(count)]


async def read(log, partition: int, start: int, end: int) -> list[Record]:
    return [record async for batch in log.read(partition, start, end) for record in batch]


class LogConformance:
    """`logs` is (assign, one, other): `await assign(partition, owner)` returns the new epoch."""

    async def test_what_was_appended_is_read_back_in_order(self, logs):
        """Offsets are dense from the claim's head, and a record comes back as it was."""
        assign, log, _ = logs
        epoch = await assign(0, "a")
        claim = await log.claim(0, epoch, "a")
        assert claim.head == 0
        first = await log.append(0, epoch, records("g", 1, 3))
        second = await log.append(0, epoch, records("h", 1, 2))
        assert (first, second) == (0, 3)
        assert await read(log, 0, 0, 5) == records("g", 1, 3) + records("h", 1, 2)
        assert await read(log, 0, 2, 4) == records("g", 3, 1) + records("h", 1, 1)

    async def test_many_partitions_append_together(self, logs):
        """Appends of several partitions at once each get their own offsets."""
        assign, log, _ = logs
        epochs = [await assign(p, "a") for p in range(4)]
        for p, epoch in enumerate(epochs):
            await log.claim(p, epoch, "a")
        for _ in range(3):
            await asyncio.gather(*(log.append(p, epochs[p], records("g", 1, p + 1)) for p in range(4)))
        for p in range(4):
            assert len(await read(log, p, 0, 100)) == 3 * (p + 1)

    async def test_an_older_owner_appends_nothing(self, logs):
        """After a take-over the old owner's append is refused, and what it wrote before is kept."""
        assign, old, new = logs
        before = await assign(0, "a")
        await old.claim(0, before, "a")
        await old.append(0, before, records("g", 1, 2))
        epoch = await assign(0, "b")
        claim = await new.claim(0, epoch, "b")
        assert claim.head == 2
        with pytest.raises(Fenced):
            await old.append(0, before, records("g", 3, 1))
        assert await new.append(0, epoch, records("g", 3, 1)) == 2
        assert await read(new, 0, 0, 9) == records("g", 1, 2) + records("g", 3, 1)

    async def test_an_assignment_alone_fences_the_older_owner(self, logs):
        """From the moment an epoch is raised no append of an older one counts."""
        assign, old, new = logs
        before = await assign(0, "a")
        await old.claim(0, before, "a")
        epoch = await assign(0, "b")
        with pytest.raises(Fenced):
            await old.append(0, before, records("g", 1, 1))
        claim = await new.claim(0, epoch, "b")
        assert await read(new, 0, 0, claim.head) == []

    async def test_an_epoch_is_opened_once_and_by_its_owner(self, logs):
        """A second claim of an epoch, an older epoch, and another's epoch are refused."""
        assign, log, other = logs
        epoch = await assign(0, "a")
        with pytest.raises(Fenced):
            await other.claim(0, epoch, "b")
        await log.claim(0, epoch, "a")
        with pytest.raises(Fenced):
            await log.claim(0, epoch, "a")
        with pytest.raises(Fenced):
            await log.claim(0, epoch - 1, "a")

    async def test_appends_beside_a_fenced_one_go_through(self, logs):
        """Losing one partition leaves the others of the same owner alone."""
        assign, log, _ = logs
        epochs = [await assign(p, "a") for p in range(2)]
        for p in range(2):
            await log.claim(p, epochs[p], "a")
        await assign(0, "b")
        lost, kept = await asyncio.gather(
            log.append(0, epochs[0], records("g", 1, 1)),
            log.append(1, epochs[1], records("h", 1, 1)),
            return_exceptions=True,
        )
        assert isinstance(lost, Fenced)
        assert kept == 0

    async def test_a_checkpoint_moves_forward_only_and_for_the_owner_only(self, logs):
        """The next claim names the highest checkpoint that an owner of its time has set."""
        assign, old, new = logs
        before = await assign(0, "a")
        await old.claim(0, before, "a")
        await old.append(0, before, records("g", 1, 5))
        await old.checkpoint(0, before, 4)
        await old.checkpoint(0, before, 2)
        epoch = await assign(0, "b")
        await old.checkpoint(0, before, 5)
        assert (await new.claim(0, epoch, "b")).checkpoint == 4

    async def test_touch_tells_what_was_lost_and_dates_the_outage(self, logs):
        """An owner learns what isn't its own any more; the next claim knows until when it lived."""
        assign, old, new = logs
        before = [await assign(p, "a") for p in range(2)]
        for p in range(2):
            await old.claim(p, before[p], "a")
        assert list(await old.touch([(0, before[0]), (1, before[1])])) == []
        epoch = await assign(0, "b")
        assert list(await old.touch([(0, before[0]), (1, before[1])])) == [0]
        claim = await new.claim(0, epoch, "b")
        assert 0 < claim.alive_until <= claim.at
        if claim.alive_until < claim.at:
            assert claim.outages[-1] == (claim.alive_until, claim.at)

    async def test_values_are_opaque(self, logs):
        """Any bytes, any Unicode id, and large batches come back exactly."""
        assign, log, _ = logs
        epoch = await assign(0, "a")
        await log.claim(0, epoch, "a")
        odd = [Record("gäme-♞", 1, bytes(range(256)), b"\0\xff"), Record("", 2, b"", b"")]
        await log.append(0, epoch, odd)
        many = [Record(f"g{i}", 1, b"x" * 200, b"") for i in range(5000)]
        await log.append(0, epoch, many)
        assert await read(log, 0, 0, 10_000) == odd + many
