"""What a log takes along when it goes on in another place: the journal's side of it."""

import asyncio

import pytest
from memory import MemoryLog
from system_of_tests import running, until

from actors.behaviour import Effect
from persistence.log import Claim, Unavailable
from runtime.asks import Done
from runtime.cell import Cell
from runtime.history import unpack_events
from runtime.journal import Journal
from runtime.settings import ShardSettings


class Keeper:
    """Notes what it's told."""

    def __init__(self) -> None:
        self.durable: list[int] = []

    def committed(self, batch) -> None:
        self.durable += [record.seq for record in batch.records]

    def stalled(self, seconds) -> None:
        """Some machines are slow."""

    def dropped(self, batch) -> None:
        """What was open when the journal was closed."""

    def fenced(self) -> None:
        raise AssertionError


def journal_on(log, keeper: Keeper, head: int = 0) -> Journal:
    claim = Claim(0, 1, head, head, 0, 0)
    return Journal(claim, log, ShardSettings(), asyncio.get_running_loop(), keeper)


async def test_what_waits_becomes_durable_with_the_append_under_way():
    """Nothing of it is said before, each cell belongs to the one batch, and what comes next is anew."""
    log, keeper = MemoryLog(), Keeper()
    log.epochs[0] = 1
    journal = journal_on(log, keeper)
    cell = Cell("g", None)
    log.hold()
    journal.add(cell, [b"1"], b"", (None, 0))
    await until(lambda: log.held)
    journal.add(cell, [b"2", b"3"], b"", (None, 0))
    waiting = cell.batch
    surrendered = journal.surrender()
    assert [record.seq for record in surrendered] == [2, 3]
    assert cell.batch is not waiting
    assert journal.surrender() == []
    assert keeper.durable == []
    journal.add(cell, [b"4"], b"", (None, 0))
    log.held[0][2].extend(surrendered)
    log.let_go()
    await until(lambda: 4 in keeper.durable)
    assert keeper.durable == [1, 2, 3, 4]
    assert journal.end == 4


async def test_offsets_of_others_move_the_end():
    """Where a claim came between, the next event lies further on; a replay begins no later for it."""

    class Sparse(MemoryLog):
        def _land(self, partition, epoch, records, future) -> None:
            future.set_result(10)

    keeper = Keeper()
    journal = journal_on(Sparse(), keeper, head=3)
    journal.add(Cell("g", None), [b"1", b"2"], b"", (None, 0))
    await until(lambda: keeper.durable)
    assert journal.end == 12
    assert journal.checkpoint() == 3


async def test_the_unsaved_games_are_as_the_surrendered_records_leave_them():
    """One moment: the snapshot holds the events in flight and those that waited, and no later ones."""
    async with running() as system:
        await system.do("g", "create")
        partition = system.partition("g")
        system.log.hold()
        first = asyncio.create_task(system.do("g", "add", amount=1))
        await until(lambda: system.log.held)
        second = asyncio.create_task(system.do("g", "add", amount=2))
        await until(lambda: partition.cells["g"].seq == 3)
        memory = system.log.memories[partition.id]
        await memory.whole()
        records, [unsaved] = memory.surrender()
        third = asyncio.create_task(system.do("g", "add", amount=4))
        await until(lambda: partition.cells["g"].seq == 4)
        assert [record.seq for record in records] == [3]
        assert (unsaved.game, unsaved.seq) == ("g", 3)
        for base in range(3):
            snapshot = unsaved.since(base)
            assert (snapshot.base, snapshot.seq) == (base, 3)
            assert len(unpack_events([snapshot.chunk])) == 3 - base
        system.log.held[0][2].extend(records)
        system.log.let_go()
        assert all(isinstance(each, Done) for each in await asyncio.gather(first, second, third))
        assert (await system.total("g")).total == 7


async def test_a_game_that_no_snapshot_can_hold_is_not_left_behind():
    """While one is in quarantine with unsaved events nothing is surrendered, and nothing changes."""
    async with running() as system:
        await system.do("bad", "create")
        await system.do("g", "create")
        for partition in system.shard.partitions.values():
            memory = system.log.memories[partition.id]
            await memory.whole()
            memory.surrender()
            if "bad" in partition.cells:
                partition.residents.fail("bad", "for the test")
                with pytest.raises(Unavailable):
                    memory.surrender()


async def test_effects_that_are_under_way_are_not_left_behind():
    """A replay from elsewhere wouldn't send them again."""
    keeper = Keeper()
    journal = journal_on(MemoryLog(), keeper)
    assert not journal.sends
    journal.sending(0, [Effect("tally", "x", "add", b"{}")])
    assert journal.sends
    journal.sent(0)
    assert not journal.sends


async def test_a_log_that_lost_its_end_is_not_written_on():
    """An append that lands before where it must isn't acknowledged, and the owner stops."""

    class Short(MemoryLog):
        def _land(self, partition, epoch, records, future) -> None:
            future.set_result(1)

    class Told(Keeper):
        closed = False

        def fenced(self) -> None:
            self.closed = True

    keeper = Told()
    journal = journal_on(Short(), keeper, head=3)
    journal.add(Cell("g", None), [b"1"], b"", (None, 0))
    await until(lambda: keeper.closed)
    assert keeper.durable == []
