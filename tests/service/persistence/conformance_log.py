"""What any event log must keep.

An implementation's tests inherit `LogConformance` and give two fixtures: `logs` is (assign, one,
other), two owners of the same log that share nothing else, and `await assign(partition, owner)`
returns the new epoch, of four partitions at least; `crashing` is (assign, log, crash), where
`await crash()` kills the store without warning and starts it again.
"""

import asyncio
from itertools import count

import pytest

from persistence.log import Fenced, Record, Unavailable


def records(game: str, start: int, n: int) -> list[Record]:
    """`n` records of one game from seq `start`; every other one has a key."""
    return [
        Record(game, start + i, b'{"n":%d}' % (start + i), b"k" * ((start + i) % 2))
        for i in range(n)
    ]


async def read(log, partition: int, start: int = 0, end: int = 1 << 40) -> list[Record]:
    """The records between two offsets; their offsets only grow."""
    placed = [each async for batch in log.read(partition, start, end) for each in batch]
    offsets = [offset for offset, _ in placed]
    assert offsets == sorted(set(offsets)), [
        (i, offsets[i - 1 : i + 2]) for i in range(1, len(offsets)) if offsets[i] <= offsets[i - 1]
    ][:3]
    assert all(start <= offset < end for offset in offsets)
    return [record for _, record in placed]


async def own(assign, log, owner: str, partitions: int) -> list[int]:
    """Let `owner` open the first `partitions`; return the epochs."""
    epochs = [await assign(p, owner) for p in range(partitions)]
    for p, epoch in enumerate(epochs):
        await log.claim(p, epoch, owner)
    return epochs


class LogConformance:
    async def test_what_was_appended_is_read_back_in_order(self, logs):
        """Offsets are dense from the claim's head, and a record comes back as it was."""
        assign, log, _ = logs
        epoch = await assign(0, "a")
        claim = await log.claim(0, epoch, "a")
        head = claim.head
        assert (claim.alive_until, list(claim.outages)) == (0, [])
        first = await log.append(0, epoch, records("g", 1, 3))
        second = await log.append(0, epoch, records("h", 1, 2))
        assert (first, second) == (head, head + 3)
        assert await read(log, 0, 0, head + 5) == records("g", 1, 3) + records("h", 1, 2)
        assert await read(log, 0, head + 2, head + 4) == records("g", 3, 1) + records("h", 1, 1)
        assert await read(log, 0, head + 5, head + 9) == []

    async def test_many_partitions_append_together(self, logs):
        """Appends of several partitions at once each get their own offsets."""
        assign, log, _ = logs
        epochs = await own(assign, log, "a", 4)
        heads = [await log.append(p, epochs[p], records("g", 1, p + 1)) for p in range(4)]
        for round_ in range(1, 3):
            firsts = await asyncio.gather(
                *(log.append(p, epochs[p], records("g", 1, p + 1)) for p in range(4))
            )
            assert firsts == [heads[p] + round_ * (p + 1) for p in range(4)]
        for p in range(4):
            assert await read(log, p) == 3 * records("g", 1, p + 1)

    async def test_values_are_opaque_and_may_be_many(self, logs):
        """Any bytes, any Unicode id, long values and more records than a statement takes come back."""
        assign, log, _ = logs
        epochs = await own(assign, log, "a", 2)
        odd = [Record("gäme-♞", 1, bytes(range(256)), b"\0\xff"), Record("", 2, b"", b"")]
        odd += [Record("g", (1 << 31) - 1, b"v" * 100_000, b"k" * 5_000)]
        many = [Record(f"g{i}", i, b"x" * (i % 300)) for i in range(12_000)]
        first, _ = await asyncio.gather(
            log.append(0, epochs[0], many), log.append(1, epochs[1], odd)
        )
        assert await log.append(0, epochs[0], odd) == first + 12_000
        assert await read(log, 0) == many + odd
        assert await read(log, 1) == odd

    async def test_an_older_owner_appends_nothing(self, logs):
        """After a take-over the old owner's append is refused, and what it wrote before is kept."""
        assign, old, new = logs
        [before] = await own(assign, old, "a", 1)
        await old.append(0, before, records("g", 1, 2))
        epoch = await assign(0, "b")
        claim = await new.claim(0, epoch, "b")
        assert await read(new, 0, 0, claim.head) == records("g", 1, 2)
        for _ in range(2):
            with pytest.raises(Fenced):
                await old.append(0, before, records("g", 3, 1))
        assert await new.append(0, epoch, records("g", 3, 1)) == claim.head
        assert await read(new, 0) == records("g", 1, 3)

    async def test_what_an_older_owner_appends_before_the_claim_is_adopted(self, logs):
        """Between an assignment and its claim an append is refused, or below the claim's head."""
        assign, old, new = logs
        [before] = await own(assign, old, "a", 1)
        epoch = await assign(0, "b")
        try:
            await old.append(0, before, records("g", 1, 1))
            kept = records("g", 1, 1)
        except Fenced:
            kept = []
        claim = await new.claim(0, epoch, "b")
        assert await read(new, 0, 0, claim.head) == kept

    async def test_nobody_appends_without_a_claim(self, logs):
        """An epoch that was given but not opened, or not opened here, is no right to append."""
        assign, log, other = logs
        epoch = await assign(0, "a")
        with pytest.raises(Fenced):
            await log.append(0, epoch, records("g", 1, 1))
        await log.claim(0, epoch, "a")
        with pytest.raises(Fenced):
            await other.append(0, epoch, records("g", 1, 1))
        await log.append(0, epoch, records("g", 1, 1))
        assert await read(log, 0) == records("g", 1, 1)

    async def test_an_epoch_is_opened_once_and_by_its_owner(self, logs):
        """A second claim of an epoch, an older or unknown epoch, and another's are refused."""
        assign, log, other = logs
        epoch = await assign(0, "a")
        with pytest.raises(Fenced):
            await other.claim(0, epoch, "b")
        await log.claim(0, epoch, "a")
        for again in (log, other):
            with pytest.raises(Fenced):
                await again.claim(0, epoch, "a")
        for wrong in (epoch - 1, epoch + 1):
            with pytest.raises(Fenced):
                await log.claim(0, wrong, "a")

    async def test_the_same_process_may_own_again(self, logs):
        """A new epoch of the same owner goes on where the older one ended, and fences it."""
        assign, log, _ = logs
        [before] = await own(assign, log, "a", 1)
        await log.append(0, before, records("g", 1, 2))
        epoch = await assign(0, "a")
        claim = await log.claim(0, epoch, "a")
        with pytest.raises(Fenced):
            await log.append(0, before, records("g", 3, 1))
        assert await log.append(0, epoch, records("g", 3, 1)) == claim.head
        assert await read(log, 0) == records("g", 1, 3)

    async def test_appends_beside_a_fenced_one_go_through(self, logs):
        """Losing one partition leaves the others of the same owner alone."""
        assign, log, other = logs
        epochs = await own(assign, log, "a", 3)
        await other.claim(1, await assign(1, "b"), "b")
        results = await asyncio.gather(
            *(log.append(p, epochs[p], records("g", 1, 1)) for p in range(3)),
            return_exceptions=True,
        )
        assert not isinstance(results[0], Exception)
        assert not isinstance(results[2], Exception)
        assert isinstance(results[1], Fenced)
        assert (results[1].partition, results[1].epoch) == (1, epochs[1])

    async def test_a_claim_adopts_an_append_that_is_under_way(self, logs):
        """However a take-over races with appends, each is below the claim's head or refused."""
        assign, one, other = logs
        kept: list[Record] = []
        seqs = count(1)
        logs_ = [("a", one), ("b", other)]
        epoch = await assign(0, "a")
        await one.claim(0, epoch, "a")
        for turn in range(30):
            (_, old), (owner, new) = logs_[turn % 2], logs_[1 - turn % 2]
            before, epoch = epoch, None
            sure = records("g", next(seqs), 1)
            await old.append(0, before, sure)
            racing = records("g", next(seqs), 1)
            append = old.append(0, before, racing)
            for _ in range(turn % 5):
                await asyncio.sleep(0)  # not a wait: another point at which the race begins
            epoch = await assign(0, owner)
            claim = await new.claim(0, epoch, owner)
            kept += sure
            try:
                assert await append < claim.head
                kept += racing
            except Fenced:
                pass
            assert await read(new, 0, 0, claim.head) == kept
        assert await read(one, 0) == kept

    async def test_a_checkpoint_moves_forward_only_and_for_the_owner_only(self, logs):
        """The next claim names the highest checkpoint that an owner of its time has set."""
        assign, old, new = logs
        [before] = await own(assign, old, "a", 1)
        first = await old.append(0, before, records("g", 1, 5))
        await old.checkpoint(0, before, first + 4)
        await old.checkpoint(0, before, first + 2)
        epoch = await assign(0, "b")
        await old.checkpoint(0, before, first + 5)
        assert (await new.claim(0, epoch, "b")).checkpoint == first + 4
        await new.checkpoint(0, epoch, first + 5)
        assert (await new.claim(0, await assign(0, "b"), "b")).checkpoint == first + 5

    async def test_touch_tells_what_was_lost(self, logs):
        """An owner learns which of its partitions aren't its own any more."""
        assign, old, _ = logs
        epochs = await own(assign, old, "a", 3)
        owned = list(enumerate(epochs))
        assert list(await old.touch(owned)) == []
        await assign(1, "b")
        assert list(await old.touch(owned)) == [1]

    async def test_an_outage_is_the_time_without_an_owner(self, logs):
        """It's from the owner's last sign of life to the next claim, and is remembered."""
        assign, old, new = logs
        [before] = await own(assign, old, "a", 1)
        await old.touch([(0, before)])
        first = await new.claim(0, await assign(0, "b"), "b")
        while True:  # until the clock has moved, so that there is an outage at all
            second = await new.claim(0, await assign(0, "b"), "b")
            if second.at > second.alive_until:
                break
        assert 0 < first.alive_until <= first.at <= second.alive_until
        assert second.outages[-1] == (second.alive_until, second.at)
        assert list(second.outages) == sorted(second.outages)
        third = await old.claim(0, await assign(0, "c"), "c")
        assert list(third.outages)[: len(second.outages)] == list(second.outages)

    async def test_after_close_an_append_fails(self, logs):
        """Nothing is left waiting for ever by a log that was closed."""
        assign, log, _ = logs
        [epoch] = await own(assign, log, "a", 1)
        under_way = log.append(0, epoch, records("g", 1, 1))
        await log.close()
        for append in (under_way, log.append(0, epoch, records("g", 2, 1))):
            with pytest.raises(Unavailable):
                await append

    async def test_what_was_acknowledged_survives_crashes(self, crashing):
        """Two kills amid 10,000 records: each append is acknowledged in the end and there once."""
        assign, log, crash = crashing
        epochs = await own(assign, log, "a", 4)
        milestones = {500: asyncio.Event(), 1500: asyncio.Event()}

        async def write(p: int) -> None:
            last = -1
            for seq in range(1, 2501, 5):
                first = await log.append(p, epochs[p], records(f"g{p}", seq, 5))
                assert first > last
                last = first + 4
                if seq + 4 in milestones:
                    milestones[seq + 4].set()

        async with asyncio.timeout(120):
            writing = asyncio.gather(*(write(p) for p in range(4)))
            for milestone in milestones.values():
                await milestone.wait()
                await crash()
            await writing
        for p in range(4):
            assert await read(log, p) == records(f"g{p}", 1, 2500)
