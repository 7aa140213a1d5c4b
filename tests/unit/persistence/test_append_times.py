"""Appends are counted while they're under way, and their time when they're acknowledged."""

import asyncio

from persistence.append_times import AppendTimes
from persistence.log import Unavailable


class Clock:
    """A loop's clock that a test moves."""

    def __init__(self):
        self.now = 0.0

    def time(self):
        return self.now


async def test_only_what_was_acknowledged_has_taken_time():
    """A failure and a cancelled one are over, and say nothing of how long an append takes."""
    clock, loop = Clock(), asyncio.get_running_loop()
    times = AppendTimes(clock)
    first, second, third = (times.begin(loop.create_future()) for _ in range(3))
    assert times.status() == {"in_flight": 3, "appends": 0, "append_seconds": 0.0}
    clock.now = 0.25
    first.set_result(7)
    second.set_exception(Unavailable("closed"))
    third.cancel()
    await asyncio.sleep(0)
    assert times.status() == {"in_flight": 0, "appends": 1, "append_seconds": 0.25}
    assert isinstance(second.exception(), Unavailable)
