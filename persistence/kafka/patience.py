"""Tries again while the brokers are away, and says in the end what the trouble was."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from persistence.kafka.nodes import Closed
from persistence.log import Unavailable

T = TypeVar("T")

_FIRST_PAUSE_S = 0.02
_LAST_PAUSE_S = 0.25


async def patiently(seconds: float, what: str, attempt: Callable[[], Awaitable[T]]) -> T:
    """Return what `attempt` returns, once it doesn't raise `Unavailable` any more.

    Raises:
        Unavailable: After `seconds`, with the reason of the last attempt; at once when we closed.
    """
    reason = "no answer"
    pause = _FIRST_PAUSE_S
    try:
        async with asyncio.timeout(seconds):
            while True:
                try:
                    return await attempt()
                except Closed:
                    raise
                except Unavailable as error:
                    reason = str(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LAST_PAUSE_S)
    except TimeoutError:
        raise Unavailable(f"{what}: {reason}") from None
