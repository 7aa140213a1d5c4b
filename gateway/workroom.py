"""Work that takes long, done beside the event loop: a whole game rendered move by move.

A long game takes a second of Python. On the loop nobody's move would go out meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gateway.problems import Problem
from gateway.shares import Shares

T = TypeVar("T")
_MOST = 64
_EACH = 8


class Workroom:
    """One thread, and a bounded queue before it in which each caller has a share."""

    def __init__(self) -> None:
        """Begin the thread when there's work."""
        # One: two would only take turns, and the loop's turn would come later.
        self._executor = ThreadPoolExecutor(1, "gameshard-render")
        self._places = Shares(_MOST, _EACH)

    async def do(self, who: str, work: Callable[[], T]) -> T:
        """Return what `work` returns; whoever stops waiting before it has begun calls it off.

        Raises:
            Problem: If too much waits already, in all or for `who`.
        """
        if not self._places.take(who):
            detail = "Too many games are being rendered just now."
            raise Problem("overloaded", detail, [(b"retry-after", b"2")])
        done = self._executor.submit(work)
        # Only when it's over: what has begun can't be called off, and still holds its place.
        loop = asyncio.get_running_loop()
        done.add_done_callback(lambda _: _on(loop, self._places, who))
        return await asyncio.wrap_future(done)


def _on(loop: asyncio.AbstractEventLoop, places: Shares, who: str) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(places.give, who)
