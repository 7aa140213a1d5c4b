"""Work in slices."""

import asyncio
from time import monotonic

from runtime.slices import in_slices


def _slow(steps: int):
    for step in range(steps):
        until = monotonic() + 0.001
        while monotonic() < until:
            pass
        yield step % 2 == 0


async def test_others_have_their_turn_between_the_slices():
    """A task that only wants a turn gets one after each slice, not after all of them."""
    turns: list[int] = []

    async def other() -> None:
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    assert await in_slices(_slow(20), pause=0) == 10
    assert len(turns) >= 20
    task.cancel()


async def test_what_takes_no_time_takes_no_turns():
    """Nothing to do is done at once: the loop isn't even asked."""
    later: list[int] = []
    asyncio.get_running_loop().call_soon(later.append, 1)
    assert await in_slices([]) == 0
    assert later == []
