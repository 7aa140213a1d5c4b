"""A game in quarantine with events that no snapshot holds: what the log keeps for it."""

from system_of_tests import running, until

from runtime.asks import Refused
from runtime.partitions import partition_of

BAD = "bad"
HOME = partition_of(BAD, 2)
GOOD = next(f"good-{i}" for i in range(100) if partition_of(f"good-{i}", 2) == HOME)


async def test_the_log_keeps_what_a_quarantined_game_needs_and_the_shard_tells_how_much():
    """The checkpoint stays below its unsaved events; whoever can continue it, gets all of them."""
    async with running(snapshot_events=1000, checkpoint_every=0.01) as system:
        await system.do(GOOD, "create")
        await system.do(BAD, "create")
        await system.do(BAD, "add", amount=5)
        refused = await system.do(BAD, "add", fault="evolve")
        assert isinstance(refused, Refused)
        for _ in range(20):
            await system.do(GOOD, "add")
        shard = system.shard
        shard.partitions[HOME].keeping.save(shard.partitions[HOME].cells[GOOD])
        await until(lambda: system.log.checkpoints[HOME])
        assert system.log.checkpoints[HOME] == 1  # where the bad game's first event is
        assert (shard.status()["failed_games"], shard.status()["to_replay"]) == (1, 22)
        # What raised is not in the log: the next owner can continue the game.
        await system.take_over()
        await shard.stop(0.1)
        system.router.route(system.table)
        assert (await system.total(BAD)).total == 5
        shard = system.shard
        assert shard.status()["failed_games"] == 0
        await until(lambda: BAD in shard.partitions[HOME].cells)
        for cell in list(shard.partitions[HOME].cells.values()):
            shard.partitions[HOME].keeping.save(cell)
        await until(lambda: shard.status()["to_replay"] == 0)
        assert system.log.checkpoints[HOME] == len(system.log.records[HOME])
