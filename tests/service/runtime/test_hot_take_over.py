"""Take-overs with hot state in a real Valkey: from the nearest tier that fits to the log, and no
acknowledged event is ever missing."""

import asyncio
import os
import random
import signal

import pytest
from hot_system import hot_system
from system_of_tests import until
from tally_game import Added

from persistence.hot_state import Entry, Overtaken, Warm, Write
from runtime.asks import Done
from runtime.partitions import partition_of

GAMES = [f"g{n}" for n in range(8)]


async def play(system, rounds: int, first: int = 0) -> None:
    """Every game gets an event in every round; all of them are acknowledged."""
    for n in range(first, first + rounds):
        for game in GAMES:
            ask = {"amount": 1 + n, "turn": n - 1} if n else {}
            done = await system.do(game, "add" if n else "create", **ask)
            assert isinstance(done, Done), done


def expected(rounds: int) -> dict[str, int]:
    return dict.fromkeys(GAMES, sum(1 + n for n in range(1, rounds)))


async def still_plays(system, rounds: int) -> None:
    """All states are right, the next events follow without a gap, and all are in the history."""
    assert await system.totals(GAMES) == expected(rounds)
    await play(system, 1, rounds)
    assert await system.totals(GAMES) == expected(rounds + 1)
    await system.revived()
    await system.save(*GAMES)
    for game in GAMES:
        assert system.store.rows[game].seq == rounds + 1


async def test_nothing_older_than_the_mark_is_read(valkey, redis):
    """The log is read from the mark on, not from the checkpoint, and every game is as it was."""
    async with hot_system(valkey.url) as system:
        await play(system, 3)
        await system.warm()
        marks = system.marks()
        assert sum(marks.values()) == 24
        await play(system, 2, 3)
        await system.fail_over()
        assert dict(system.log.starts) == marks
        await still_plays(system, 5)
        assert dict(system.log.starts) == marks


async def test_a_busy_game_holds_the_mark_and_no_other(valkey, redis):
    """A game whose newest event isn't durable isn't written; the mark stays below that event."""
    async with hot_system(valkey.url) as system:
        await play(system, 2)
        await system.warm()
        marks = system.marks()
        system.log.hold()
        late = asyncio.create_task(system.do("g0", "add", amount=3, turn=1))
        await until(lambda: system.log.held)
        await system.warm()
        assert system.marks() == marks
        system.crash()
        system.log.let_go()  # it landed, but nobody was told
        late.cancel()
        system.log.starts.clear()
        await system.take_over()
        assert dict(system.log.starts) == marks
        assert (await system.total("g0")).total == 5
        for name in GAMES[1:]:
            await system.do(name, "add", amount=3, turn=1)
        await still_plays(system, 3)


async def test_what_isnt_durable_isnt_written(valkey, redis):
    """A game with an event under way holds the mark below its durable ones; what never landed never was."""
    async with hot_system(valkey.url) as system:
        await play(system, 2)
        await system.warm()
        marks = system.marks()
        await play(system, 1, 2)
        system.log.hold()
        for game in ("g0", "g1"):
            here = system.shard.partitions[partition_of(game, 2)]
            here.record(here.cells[game], [Added(amount=100, by=None)], here.now())
        await until(lambda: len(system.log.held) == 2)
        assert partition_of("g0", 2) != partition_of("g1", 2)
        await system.warm()
        assert system.marks() == marks
        system.crash()
        system.log.held = None  # the appends never arrive
        system.log.starts.clear()
        await system.take_over()
        assert dict(system.log.starts) == marks
        await still_plays(system, 3)


async def test_saved_games_leave_the_list(valkey, redis):
    """What a snapshot holds isn't asked of Redis; it comes from the store, whole."""
    async with hot_system(valkey.url) as system:
        await play(system, 3)
        await system.warm()
        await system.save(*GAMES[:4])
        await system.warm()
        listed = {g for p in range(2) for g in (await system.hot.read(p)).games}
        assert listed == set(GAMES[4:])
        for game in GAMES[:4]:
            await redis.delete(f"game:{game}")
        await system.fail_over()
        await still_plays(system, 3)


async def test_without_redis_the_snapshots_serve(valkey, redis):
    """Wiped between two owners: the log is read from the checkpoint on."""
    async with hot_system(valkey.url) as system:
        await play(system, 3)
        await system.save(*GAMES)
        checkpoints = dict(system.log.checkpoints)
        await play(system, 1, 3)
        await system.warm()
        await redis.flushall()
        await system.fail_over()
        assert dict(system.log.starts) == checkpoints
        await still_plays(system, 4)


async def test_without_snapshots_the_log_serves(valkey, redis):
    """Neither Redis nor the games' rows are there: a full replay gives the same states."""
    async with hot_system(valkey.url) as system:
        await play(system, 3)
        await system.save(*GAMES)
        await play(system, 2, 3)
        await system.warm()
        await redis.flushall()
        system.store.rows.clear()
        system.store.chunks.clear()
        system.log.checkpoints.clear()
        await system.fail_over()
        assert dict(system.log.starts) == {0: 0, 1: 0}
        await still_plays(system, 5)


async def test_a_wipe_in_the_middle_of_play_costs_nothing(valkey, redis):
    """The next turn finds nothing of its own, the one after writes everything; then it serves."""
    async with hot_system(valkey.url) as system:
        await play(system, 3)
        await system.warm()
        await redis.flushall()
        await play(system, 1, 3)
        await system.warm()
        assert await redis.keys() == []
        await system.warm()
        marks = system.marks()
        await system.fail_over()
        assert dict(system.log.starts) == marks
        await still_plays(system, 4)


async def test_a_game_that_is_lost_after_the_look_is_read_from_the_log(valkey, redis):
    """Redis forgets a game between the opening and the first question: back to the checkpoint."""
    async with hot_system(valkey.url) as system:
        await play(system, 3)
        await system.warm()
        await play(system, 1, 3)
        read = system.hot.read

        async def forgetful(partition):
            found = await read(partition)
            await redis.delete("game:g3")
            return found

        system.hot.read = forgetful
        await system.fail_over()
        await still_plays(system, 4)
        assert (partition_of("g3", 2), 0) in system.log.starts


async def test_a_redis_that_goes_after_the_look_is_done_without(valkey, redis):
    """It answers the opening, then nothing more: everything comes from the log."""
    async with hot_system(valkey.url) as system:
        await play(system, 3)
        await system.warm()
        system.crash()
        read = system.hot.read

        async def last_words(partition):
            found = await read(partition)
            if partition == 1:
                valkey.stop()
            return found

        system.hot.read = last_words
        try:
            await system.take_over()
            await still_plays(system, 3)
        finally:
            valkey.start()


async def test_redis_away_is_no_obstacle(valkey, redis):
    """Games begin, go on and are taken over while it's away; back, it's written anew."""
    valkey.stop()
    try:
        async with hot_system(valkey.url, warm_every=0.01) as system:
            await play(system, 3)
            await system.fail_over()
            await still_plays(system, 3)
            valkey.start()
            await play(system, 1, 4)
            await until(lambda: system.shard.status()["hot_state"]["unwritten"] == 0)
            assert system.shard.status()["hot_state"]["healthy"]
    finally:
        valkey.start()


async def test_a_redis_that_hangs_is_no_obstacle(valkey, redis):
    """It takes connections and answers nothing: after a moment the snapshots and the log serve."""
    async with hot_system(valkey.url) as system:
        await play(system, 3)
        await system.warm()
        os.kill(valkey.pid, signal.SIGSTOP)
        try:
            await system.fail_over()
            assert not system.hot.healthy
            await still_plays(system, 3)
        finally:
            os.kill(valkey.pid, signal.SIGCONT)
        assert dict(system.log.starts) == {0: 0, 1: 0}


@pytest.mark.parametrize("tail", [b'{"other":1}\n' * 3, b"{}\n" * 2])
async def test_what_contradicts_the_log_isnt_believed(valkey, redis, tail):
    """A game with other events than the log has behind the mark is read from the log alone."""
    async with hot_system(valkey.url) as system:
        await play(system, 3)
        await system.warm()
        here = system.shard.partitions[partition_of("g1", 2)]
        mark = here.warming.mark
        await play(system, 1, 3)
        state = here.cells["g1"].pack()
        warm = Warm(here.epoch, 4, 1, False, state, tail)
        lie = Entry("g1", warm, True, None, 100)
        assert await system.hot.write(Write(here.id, here.epoch, mark.offset, mark, [lie]))
        await system.fail_over()
        await still_plays(system, 4)
        assert (here.id, 0) in system.log.starts


async def test_a_gap_behind_the_mark_isnt_believed(valkey, redis):
    """Where the list says less than the records behind the mark need, the checkpoint serves."""
    async with hot_system(valkey.url) as system:
        await play(system, 2)
        here = system.shard.partitions[partition_of("g1", 2)]
        await system.revived()
        early = await here.warming.collect()
        await play(system, 1, 2)
        lie = early._replace(offset=here.journal.end, base=None)
        assert await system.hot.write(lie)
        await play(system, 1, 3)
        await system.fail_over()
        await still_plays(system, 4)
        assert (here.id, 0) in system.log.starts


async def test_what_another_log_left_is_forgotten(valkey, redis):
    """Redis outlives the other stores: its newer epochs and offsets count for nothing."""
    async with hot_system(valkey.url) as old:
        old.epoch = 40
        await old.fail_over()
        await play(old, 5)
        await old.warm()
    async with hot_system(valkey.url) as system:
        await play(system, 2)
        await system.warm()
        marks = system.marks()
        await system.fail_over()
        assert dict(system.log.starts) == marks
        await still_plays(system, 2)


async def test_an_epoch_that_isnt_below_ours_isnt_believed(valkey, redis):
    """However well its offset fits: whoever wrote under it is of another log, or has overtaken us."""
    async with hot_system(valkey.url) as system, hot_system(valkey.url) as other:
        await play(system, 3)
        other.epoch = 40
        await other.fail_over()
        await play(other, 1)
        for game in GAMES:
            await other.do(game, "add", amount=50)
        await other.warm()
        await system.fail_over()
        await still_plays(system, 3)


async def test_an_owner_that_was_overtaken_changes_nothing(valkey, redis):
    """Its late write finds a newer mark; the newer owner's games are what is found."""
    async with hot_system(valkey.url) as system:
        await play(system, 2)
        await system.warm()
        old = system.shard
        late = {
            p.id: (await p.warming.collect() or Write(p.id, p.epoch, 999, p.warming.mark, []))
            for p in old.partitions.values()
        }
        await system.fail_over()
        await play(system, 1, 2)
        await system.warm()
        marks = system.marks()
        for write in late.values():
            with pytest.raises(Overtaken):
                await system.hot.write(write)
        await system.fail_over()
        assert dict(system.log.starts) == marks
        await still_plays(system, 3)


async def test_deadlines_need_no_scan(valkey, redis):
    """What wants to be woken is in the hot state, saved games as well as unsaved ones."""
    async with hot_system(valkey.url) as system:
        for n, game in enumerate(GAMES):
            await system.do(game, "create", wake_after=3_600_000 + n)
        await system.save(*GAMES[:4])
        await system.warm()

        async def scanned(partition):
            raise AssertionError
            yield

        system.store.deadlines, scan = scanned, system.store.deadlines
        await system.fail_over()
        system.store.deadlines = scan
        agendas = [p.own_time.deadlines for p in system.shard.partitions.values()]
        assert sum(len(agenda) for agenda in agendas) >= len(GAMES)


async def test_watchers_are_told_what_they_missed(valkey, redis):
    """Who has seen all that was written behind is told the rest from the tail, before games live."""
    async with hot_system(valkey.url) as system:
        await play(system, 3)
        await system.warm()
        await play(system, 2, 3)
        await system.fail_over()
        for partition in system.shard.partitions.values():
            for game in [g for g in GAMES if partition_of(g, 2) == partition.id]:
                told = partition.residents.unread(game, 3)
                if told is not None:  # it lives already
                    assert told[0] == 5
                    assert len(told[1]) == 2


class Chance:
    """Plays and breaks at random, and knows what must be there."""

    def __init__(self, seed: int, system, redis) -> None:
        self.rng = random.Random(seed)
        self.system, self.redis = system, redis
        self.sums: dict[str, int] = {}

    async def play(self) -> None:
        game, amount = self.rng.choice(GAMES), self.rng.randrange(9)
        command = ("add", {"amount": amount}) if game in self.sums else ("create", {})
        assert isinstance(await self.system.do(game, command[0], **command[1]), Done)
        self.sums[game] = self.sums.get(game, -amount) + amount

    async def warm(self) -> None:
        await self.system.warm()

    async def save(self) -> None:
        await self.system.revived()
        await self.system.save(*self.rng.sample(GAMES, 3))

    async def kill(self) -> None:
        await self.system.fail_over()
        if self.rng.random() < 0.5:
            await self.look()

    async def wipe(self) -> None:
        await self.redis.flushall()

    async def lose(self) -> None:
        if keys := sorted(await self.redis.keys()):
            await self.redis.delete(self.rng.choice(keys))

    async def look(self) -> None:
        assert await self.system.totals(self.sums) == self.sums


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_nothing_is_lost(valkey, redis, seed):
    """Play, writes, snapshots, kills, wipes and lost keys in any order: totals are always right."""
    async with hot_system(valkey.url) as system:
        chance = Chance(seed, system, redis)
        fates = [chance.play, chance.warm, chance.save, chance.kill, chance.wipe, chance.lose]
        for fate in chance.rng.choices(fates, [20, 8, 4, 5, 1, 3], k=60):
            await fate()
        await system.fail_over()
        await chance.look()
        assert not any(p.residents.failed for p in system.shard.partitions.values())
