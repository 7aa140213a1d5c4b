"""What goes wrong in one game, one partition or one append harms nothing else, and nothing durable."""

import asyncio
from random import Random

import msgspec
import pytest
from memory import MemoryLog
from system_of_tests import Ear, running, until

from actors.behaviour import Effect
from persistence.log import Claim, Fenced, Record
from runtime.asks import Away, Done, Packed, Refused
from runtime.cell import Cell
from runtime.journal import Journal
from runtime.settings import ShardSettings


class Keeper:
    def committed(self, batch) -> None:
        pass

    def dropped(self, batch) -> None:
        pass

    def stalled(self, seconds) -> None:
        """Some machines are slow."""

    def fenced(self) -> None:
        pass


async def test_a_checkpoint_never_passes_what_is_unsaved():
    """Whatever is saved, put back or sent, in any order: replay begins below all that's needed."""
    for seed in range(300):
        random = Random(seed)
        claim = Claim(0, 1, 0, 0, 0, 0)
        loop = asyncio.get_running_loop()
        journal = Journal(claim, MemoryLog(), ShardSettings(), loop, Keeper())
        needed: dict[str, int] = {}
        saving: dict[str, int] = {}
        unsent: list[int] = []
        for _ in range(40):
            game = f"g{random.randrange(6)}"
            match random.randrange(6):
                case 0 | 1:
                    needed.setdefault(game, journal.end)
                    journal.add(Cell(game, None), [b"{}"], b"", (None, 0))
                case 2 if game in needed and game not in saving:
                    saving[game] = needed.pop(game)
                    journal.snapshotting(game)
                case 3 if game in saving:
                    journal.snapshotted(game)
                    del saving[game]
                case 4 if game in saving:
                    journal.unsnapshotted(game)
                    needed[game] = min(saving.pop(game), needed.get(game, journal.end))
                case 5:
                    unsent.append(journal.end)
                    journal.sending(journal.end, [Effect("tally", "x", "add", b"{}")])
            wanted = [journal.end, *needed.values(), *saving.values(), *unsent]
            assert journal.checkpoint() == min(wanted), seed
        journal.close()


@pytest.mark.parametrize("fault", ["decide", "evolve", "effects", "deadline", "pack"])
async def test_a_behaviour_that_raises_harms_its_own_game_only(fault):
    """The other games of the partition, the link and the watch go on; the log has no second truth."""
    async with running(snapshot_events=1, passivate_after=0.0) as system:
        for game in ("bad", "good", "fine"):
            await system.do(game, "create")
        ear = Ear()
        opened = []
        system.router.watch("good", None, ear, 3.0, opened.append)
        await until(lambda: opened)
        answers = await asyncio.gather(
            system.do("bad", "add", amount=1),
            system.do("bad", "add", amount=100, fault=fault),
            system.do("good", "add", amount=1),
            system.do("fine", "add", amount=2),
        )
        assert isinstance(answers[2], Done)
        assert isinstance(answers[3], Done)
        assert isinstance(await system.do("good", "add", amount=5), Done)
        assert (await system.total("good")).total == 6
        assert ear.heard == [2, 3]
        link = next(iter(system.shard._links))
        assert link.unanswered == 0
        told = [r for records in system.log.records.values() for r in records if r.game == "bad"]
        assert [r.seq for r in told] == list(range(1, len(told) + 1))
        assert len(told) <= 3


async def test_a_state_that_failed_half_way_is_never_stored():
    """An evolve that changed the state and then raised leaves nothing behind for the next owner."""
    async with running(snapshot_events=1) as system:
        await system.do("g1", "create")
        system.log.hold()
        first = asyncio.ensure_future(system.do("g1", "add", amount=2))
        await until(lambda: system.log.held)
        refused = await system.do("g1", "add", amount=666, fault="evolve")
        assert (refused.code, refused.detail) == ("game_failed", "RuntimeError: told to")
        system.log.let_go()
        assert isinstance(await first, Done)
        old = system.shard
        await system.take_over()
        await old.stop(1.0)
        system.router.route(system.table)
        assert (await system.total("g1")).total == 2


async def test_a_deadline_that_rings_while_a_partition_opens_meets_the_newest_state():
    """No event is decided on an old snapshot while the tail of the log waits to be replayed."""
    async with running(snapshot_events=100, save_every=0.0) as system:
        await system.do("g1", "create", wake_after=30)
        await system.do("g1", "add", amount=1)
        old = system.shard
        for partition in old.partitions.values():
            for cell in partition.cells.values():
                partition.keeping.save(cell)  # the snapshot with the deadline
        await until(lambda: "g1" in system.store.rows)
        for amount in (2, 3):
            await system.do("g1", "add", amount=amount)
        deadlines = system.store.deadlines

        async def slowly(partition):
            async for batch in deadlines(partition):
                yield batch
                await asyncio.sleep(0.05)  # time enough for a timer to ring

        system.store.deadlines = slowly
        await system.take_over()
        await old.stop(0.1)
        system.router.route(system.table)
        assert (await system.total("g1")).total == 6
        seqs = [r.seq for records in system.log.records.values() for r in records]
        assert sorted(seqs) == list(range(1, len(seqs) + 1))


async def test_an_opening_that_comes_too_late_is_refused():
    """Of two openings of a partition the one with the newer epoch stays, however slow the other is."""
    async with running() as system:
        shard = system.shard
        claim, slow = system.log.claim, asyncio.Event()

        async def claims(partition, epoch, owner, known):
            claimed = await claim(partition, epoch, owner)
            if epoch == 2:
                await slow.wait()
            return claimed

        system.log.claim = claims
        second = asyncio.ensure_future(shard.open(0, 2))
        await until(lambda: system.log.epochs[0] == 2)
        await shard.open(0, 3)
        newest = shard.partitions[0]
        slow.set()
        with pytest.raises(Fenced):
            await second
        assert shard.partitions[0] is newest
        assert not newest.closed


async def test_what_cannot_be_stored_is_refused_before_it_is_decided():
    """A game's id with a NUL makes no game, and its partition goes on."""
    async with running() as system:
        refused = await system.do("a\0b", "create")
        assert isinstance(refused, Refused)
        assert refused.code == "invalid_request"
        for game in ("g1", "g2", "g3"):
            assert isinstance(await system.do(game, "create"), Done)


async def test_an_append_that_raises_closes_its_partition_instead_of_stopping_it():
    """Whoever asked is sent to look for the owner, which may be this shard again."""
    async with running() as system:
        lost = []
        system.shard.on_lost = lambda partition, epoch: lost.append((partition, epoch))
        await system.do("g1", "create")
        append = system.log.append
        system.log.append = lambda *_: (_ for _ in ()).throw(ValueError("it can't be stored"))
        asked = asyncio.ensure_future(system.do("g1", "add", amount=3, key="k"))
        await until(lambda: lost)
        system.log.append = append
        partition = lost[0][0]
        system.log.epochs[partition] = 1
        await system.shard.open(partition, 2)
        assert isinstance(await asked, Done)
        assert (await system.total("g1")).total == 3


async def test_a_fence_frees_every_place_on_the_link():
    """Commands, repeats, questions and polls that were waiting are all answered."""
    async with running() as system:
        await system.do("g1", "create")
        shard = system.shard
        link = next(iter(shard._links))
        system.log.hold()
        waiting = [
            asyncio.ensure_future(system.do("g1", "add", key="k")),
            asyncio.ensure_future(system.do("g1", "add", key="k")),
            asyncio.ensure_future(system.do("g1", "add", amount=-1)),
            asyncio.ensure_future(system.router.state("g1", 3.0)),
            asyncio.ensure_future(system.router.events("g1", 1, 3.0, 3.0)),
        ]
        await until(lambda: link.unanswered == len(waiting))
        for partition in list(shard.partitions):
            shard.lapse(partition, 1)
        await until(lambda: link.unanswered == 0)
        system.log.held = None
        await system.take_over()
        system.router.route(system.table)
        done, repeat, refused, state, _ = await asyncio.gather(*waiting)
        assert {type(done), type(repeat)} == {Done}
        assert (done.seq, repeat.seq) == (2, 2)
        assert isinstance(refused, Refused)
        assert isinstance(state, Packed)
        await shard.stop(0.1)


async def test_a_stop_ends_although_a_partition_was_lost_meanwhile():
    """A partition that was fenced in the middle of an append keeps no other from being saved."""
    async with running() as system:
        for game in ("g1", "g2", "g3", "g4"):
            await system.do(game, "create")
        system.log.hold()
        asked = asyncio.ensure_future(system.do("g1", "add"))
        await until(lambda: system.log.held)
        stopping = asyncio.ensure_future(system.shard.stop(2.0))
        await asyncio.sleep(0)
        for partition in system.log.epochs:
            system.log.epochs[partition] += 1
        system.log.let_go()
        async with asyncio.timeout(5):
            await stopping
        asked.cancel()
        assert system.store.rows


async def test_time_neither_jumps_nor_runs_backwards(monkeypatch):
    """The owner's clock goes on evenly, whatever is done to the machine's clock."""
    async with running() as system:
        partition = system.shard.partitions[0]
        before = partition.now()
        monkeypatch.setattr("runtime.partition.time", lambda: 0.0)
        assert 0 <= partition.now() - before < 5_000
        monkeypatch.setattr("runtime.partition.time", lambda: 9e9)
        assert 0 <= partition.now() - before < 5_000
        partition.witness(before + 3_600_000)
        assert partition.now() >= before + 3_600_000


async def test_a_short_outage_is_excused_before_what_comes_next():
    """A take-over begins with no event; the next command finds the dead time written before it."""
    async with running() as system:
        await system.do("g1", "create", wake_after=60_000)
        await system.do("g1", "add")
        at = system.shard.partitions[0].now()
        system.log.at = at + 2_000
        system.log.outages = [(at + 1_000, at + 2_000)]
        old = system.shard
        await system.take_over()
        await old.stop(0.1)
        system.router.route(system.table)
        assert (await system.total("g1")).dead_ms == 0
        await system.do("g1", "add")
        assert (await system.total("g1")).dead_ms == 1_000
        records: list[Record] = [r for rs in system.log.records.values() for r in rs]
        types = [msgspec.json.decode(r.value)["type"] for r in sorted(records, key=lambda r: r.seq)]
        assert types == ["Created", "Added", "Slept", "Added"]
        assert not isinstance(await system.do("g1", "add"), Away)
