"""A game that lives isn't brought to life again, whatever a take-over finds out later."""

from system_of_tests import running

from persistence.hot_state import Hot, Mark
from persistence.log import Claim
from runtime.residents import Failed
from runtime.revival import Revival


async def test_a_living_game_keeps_what_happened_while_the_hot_state_was_lost():
    """Someone plays on from a snapshot; then Redis is away, and the log is read from further back."""
    async with running() as system:
        await system.do("g1", "create")
        await system.do("g1", "add", amount=1)
        partition = system.partition("g1")
        end = len(system.log.records[partition.id])
        claim = Claim(partition.id, partition.epoch, end, 0, 0, 0)
        revival = Revival(partition, claim, {}, Hot(Mark(0, end, 0), {}, ()))
        await system.do("g1", "add", amount=2)
        living, unsaved = partition.cells["g1"], partition.journal.unsaved()
        await revival._deepen("it's away")
        await revival._run()
        assert partition.cells["g1"] is living
        assert partition.journal.unsaved() == unsaved
        await system.do("g1", "add", amount=4)
        assert (await system.total("g1")).total == 7
        assert [r.seq for r in system.log.records[partition.id]] == [1, 2, 3, 4]


async def test_a_game_that_came_to_life_first_is_not_replaced():
    """What waits for its turn to live, and was made live by someone else, stays as it is."""
    async with running() as system:
        await system.do("g1", "create")
        partition = system.partition("g1")
        claim = Claim(partition.id, partition.epoch, 1, 0, 0, 0)
        first = list(enumerate(system.log.records[partition.id]))
        revival = Revival(partition, claim, {"g1": first}, None)
        await system.do("g1", "add", amount=2)
        living = partition.cells["g1"]
        assert revival.revive("g1", None) is living
        assert partition.cells["g1"] is living
        assert (await system.total("g1")).total == 2


async def test_a_game_in_quarantine_does_not_come_back_older():
    """It played on from its snapshot and failed; the log that is read once more doesn't revive it."""
    async with running() as system:
        await system.do("g1", "create")
        partition = system.partition("g1")
        end = len(system.log.records[partition.id])
        claim = Claim(partition.id, partition.epoch, end, 0, 0, 0)
        revival = Revival(partition, claim, {}, Hot(Mark(0, end, 0), {}, ()))
        await system.do("g1", "add", amount=2)
        partition.residents.fail("g1", "it raised")
        await revival._deepen("it's away")
        await revival._run()
        assert "g1" not in partition.cells
        assert "g1" in partition.journal.unsaved()


async def test_a_game_that_fails_while_it_waits_for_its_turn_stays_in_quarantine():
    """Its turn comes after the failure: it's told as failed."""
    async with running() as system:
        await system.do("g1", "create")
        partition = system.partition("g1")
        claim = Claim(partition.id, partition.epoch, 1, 0, 0, 0)
        first = list(enumerate(system.log.records[partition.id]))
        revival = Revival(partition, claim, {"g1": first}, None)
        partition.residents.fail("g1", "it raised")
        assert isinstance(revival.revive("g1", None), Failed)
        assert "g1" not in partition.cells
