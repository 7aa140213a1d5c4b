"""Two versions of a game side by side: one shard runs the old program, one the new."""

from contextlib import asynccontextmanager

import msgspec
import nim_game
import nim_two
import pytest
from memory import MemoryLog, MemoryStore
from system_of_tests import SECRET, Directory

from actors.behaviour import event_decoder
from runtime.asks import Ask, Done, Refused
from runtime.cell import Rest
from runtime.formats import Unfit
from runtime.partitions import partition_of
from runtime.router import Router
from runtime.settings import RouterSettings, ShardSettings
from runtime.shard import Shard
from runtime.table import Route, RoutingTable

HERE, THERE = (next(f"t{n}" for n in range(99) if partition_of(f"t{n}", 2) == p) for p in range(2))
"""A game of the first partition, and one of the second."""


class Pair:
    """Two partitions, and shards of either version that own them.

    Attributes:
        formats: What the store holds of the versions agreed.
    """

    def __init__(self) -> None:
        self.log, self.store = MemoryLog(), MemoryStore()
        self.formats: dict[str, int] = {"nim": 1}
        self.epoch = 0
        self.shards: list[Shard] = []
        self.owners: dict[int, Route] = {}
        self.router = Router("test", SECRET, RouterSettings(), Directory(self.table))

    def table(self) -> RoutingTable:
        return RoutingTable(self.epoch, [self.owners[p] for p in sorted(self.owners)])

    async def start(self, behaviour) -> tuple[Shard, tuple[str, int]]:
        """A shard that has `behaviour` installed."""
        shard = Shard(
            f"s/{len(self.shards)}",
            {"nim": behaviour},
            (self.log, self.store),
            self.router,
            SECRET,
            ShardSettings(save_every=0.01, snapshot_events=1),
        )

        async def formats():
            return dict(self.formats)

        shard.formats = formats
        self.shards.append(shard)
        return shard, await shard.start("127.0.0.1")

    async def give(self, partition: int, to: tuple[Shard, tuple[str, int]]) -> None:
        """Hand a partition over in order."""
        self.epoch += 1
        for shard in self.shards:
            if partition in shard.partitions:
                await shard.release(partition, shard.partitions[partition].epoch, 1.0)
        await to[0].open(partition, self.epoch)
        self.owners[partition] = Route(partition, self.epoch, to[0].incarnation, to[1])
        self.router.route(self.table())

    async def do(self, game: str, user: str, command: str, **fields):
        kind = "nim" if command == "create" else None
        body = msgspec.json.encode(fields)
        return await self.router.ask(Ask(game, command, body, user, None, kind), 3.0)

    async def take(self, game: str, user: str, count: int) -> None:
        assert isinstance(await self.do(game, user, "take", count=count), Done)

    async def pile(self, game: str, reader) -> int:
        """How many stones are left, as a gateway with `reader` installed shows it."""
        packed = await self.router.state(game, 3.0)
        return reader.view(reader.unpack(packed.state), reader.queries["state"](), None)["pile"]

    async def stop(self) -> None:
        """Every owner saves what it has."""
        for shard in self.shards:
            await shard.stop(1.0)
        self.shards.clear()

    async def written(self) -> tuple[list[bytes], list[bytes]]:
        """All events, and the games' states in the store, at the end."""
        await self.stop()
        events = [r.value for records in self.log.records.values() for r in records]
        decode = msgspec.msgpack.Decoder(Rest).decode
        return events, [decode(row.state).state for row in self.store.rows.values()]


@asynccontextmanager
async def pair():
    """An old shard that owns `HERE`, and a new one that owns `THERE`, each with a begun game."""
    pair = Pair()
    old, new = await pair.start(nim_game), await pair.start(nim_two)
    await pair.give(0, old)
    await pair.give(1, new)
    await pair.router.start()
    try:
        for game in (HERE, THERE):
            assert isinstance(await pair.do(game, "ann", "create", pile=21), Done)
            await pair.do(game, "bob", "join")
        yield pair, old, new
    finally:
        await pair.router.close()
        await pair.stop()


async def test_games_move_between_an_old_and_a_new_program_and_go_on():
    """Whatever either writes, the old one reads: events, snapshots and states; nothing is lost."""
    async with pair() as (cluster, old, new):
        for game in (HERE, THERE):
            await cluster.take(game, "ann", 3)
        for first, second in ((new, old), (old, new)):
            await cluster.give(0, first)
            await cluster.give(1, second)
            for game in (HERE, THERE):
                await cluster.take(game, "bob", 2)
                await cluster.take(game, "ann", 1)
                assert await cluster.pile(game, nim_game) == await cluster.pile(game, nim_two)
        assert await cluster.pile(HERE, nim_game) == await cluster.pile(THERE, nim_game) == 12
        assert await cluster.do(THERE, "ann", "resign") == Refused(
            "not_yet", "Not every part of the system knows how to give up yet."
        )
        events, states = await cluster.written()
        read = event_decoder(nim_game).decode
        assert sorted({type(read(event)).__name__ for event in events}) == [
            "Joined",
            "TableCreated",
            "Taken",
        ]
        assert {len(nim_game.unpack(state).takes) for state in states} == {5}


async def test_the_new_version_is_written_once_the_old_program_is_replaced():
    """What was begun under the old version goes on under the new one, in its form."""
    async with pair() as (cluster, _old, new):
        newer = await cluster.start(nim_two)
        await cluster.give(0, newer)
        assert (await cluster.do(HERE, "ann", "resign")).code == "not_yet"
        cluster.formats["nim"] = 2
        for shard, _ in (newer, new):
            shard.write(cluster.formats)
        assert isinstance(await cluster.do(HERE, "ann", "resign"), Done)
        await cluster.take(THERE, "ann", 3)
        await cluster.give(0, new)
        await cluster.give(1, newer)
        assert (await cluster.do(HERE, "bob", "take", count=1)).code == "game_over"
        await cluster.take(THERE, "bob", 3)
        await cluster.give(1, new)
        events, states = await cluster.written()
        assert "Resigned" in {msgspec.json.decode(event)["type"] for event in events}
        assert {state[:1] for state in states} == {b"\x02"}


async def test_an_owner_that_has_not_heard_yet_learns_it_as_it_opens():
    """Whoever takes over writes what the last owner may have written, though nobody told it."""
    async with pair() as (cluster, _old, new):
        late = await cluster.start(nim_two)
        await cluster.give(0, late)
        cluster.formats["nim"] = 2
        new[0].write(cluster.formats)
        assert isinstance(await cluster.do(THERE, "ann", "resign"), Done)
        await cluster.give(1, late)
        await cluster.give(1, new)
        assert await cluster.pile(THERE, nim_two) == 21
        assert isinstance(await cluster.do(HERE, "ann", "resign"), Done)


async def test_an_old_program_that_comes_back_opens_nothing():
    """It says what is written and what it reads; the partition is served by one that can."""
    async with pair() as (cluster, old, new):
        cluster.formats["nim"] = 2
        new[0].write(cluster.formats)
        with pytest.raises(Unfit, match="reads nim up to version 1, but version 2 is written"):
            await cluster.give(1, old)
        assert 1 not in old[0].partitions
        await cluster.give(1, new)
        await cluster.take(THERE, "ann", 3)


async def test_a_program_without_a_game_begins_none_before_all_know_it():
    """A kind that isn't agreed yet is refused by name."""
    async with pair() as (cluster, _old, _new):
        cluster.formats = {"chess": 1}
        fresh = await cluster.start(nim_two)
        await cluster.give(0, fresh)
        other = next(f"u{n}" for n in range(99) if partition_of(f"u{n}", 2) == 0)
        refused = await cluster.do(other, "ann", "create")
        assert (refused.code, "games of nim" in refused.detail) == ("invalid_request", True)
        await cluster.take(HERE, "ann", 3)  # what is there already goes on
        fresh[0].write({"nim": 1})
        assert isinstance(await cluster.do(other, "ann", "create"), Done)
