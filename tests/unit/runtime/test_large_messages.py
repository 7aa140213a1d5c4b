"""Questions and answers that don't fit on a link, asked of a real shard by a real router."""

import asyncio

import pytest
from system_of_tests import running

from runtime import link as links
from runtime import wire
from runtime.asks import Done, Missed, Refused

BOUND = 20_000


@pytest.fixture(autouse=True)
def small_frames(monkeypatch):
    """A bound of frames that a test's games can exceed."""
    monkeypatch.setattr(wire, "MAX_FRAME", BOUND)
    monkeypatch.setattr(links, "_LARGEST", BOUND + 4)


async def test_a_command_that_is_too_large_is_refused_to_its_asker_alone():
    """It never reaches the shard; another command of the same turn does, on the same link."""
    async with running() as system:
        await system.do("g", "create")
        link = system.router._link(0)
        large, small = await asyncio.gather(
            system.do("g", "add", to="x" * BOUND), system.do("g", "add", amount=5)
        )
        assert isinstance(large, Refused)
        assert large.code == "too_large"
        assert isinstance(small, Done)
        assert (await system.total("g")).total == 5
        assert system.router._link(0) is link


async def test_an_answer_that_is_too_large_is_refused_to_its_asker_alone():
    """A long game can't be told at once, but piece by piece; others are answered meanwhile."""
    async with running() as system:
        await system.do("g", "create")
        for _ in range(100):
            await system.do("g", "add", user="u" * 200)
        whole, rest, added = await asyncio.gather(
            system.router.events("g", 0, 0.0, 3.0),
            system.router.events("g", 90, 0.0, 3.0),
            system.do("g", "add"),
        )
        assert isinstance(whole, Refused)
        assert whole.code == "answer_too_large"
        assert isinstance(rest, Missed)
        assert isinstance(added, Done)
