"""Starting a service: again and again until it works, each time on an event loop of its own.

Ray restarts a process that ends, but never one whose constructor raises. So whatever is away just
then (Postgres, the coordinator) is waited for in here. What a failed start had begun (tasks,
sockets, timers) goes with its loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import monotonic, sleep
from typing import Protocol

import uvloop
from ray.exceptions import RayError

from persistence.log import LogError

_log = logging.getLogger(__name__)
START_S = 120.0
"""What a first start may take in all, and each try of a later one."""
_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_GRACE_S = 5.0
_AWAY = (LogError, RayError, OSError)
"""How a service fails that needs another one which isn't there yet."""


class StartError(Exception):
    """A service, or Ray itself, doesn't start; the message says which and why."""


class Service(Protocol):
    """What runs inside a host. Its other public coroutines can be called by `Peers.call`."""

    async def start(self) -> None:
        """Begin to serve."""
        ...

    async def stop(self) -> None:
        """End in order."""
        ...


def begin(
    name: str, make: Callable[[], Service], *, again: bool, within: float = START_S
) -> tuple[asyncio.AbstractEventLoop, Service]:
    """Return a service that has started, and its loop, which whoever called must run.

    Args:
        name: What it's called in messages.
        make: Makes the service; it's called once a try, on the loop of that try.
        again: Whether it ran before: then it's tried for ever, however it fails. Else only what
            is away is waited for: whatever else is wrong with a new system is told at once.
        within: Seconds of the first start in all, or of each try.

    Raises:
        StartError: If it doesn't start.
    """
    until = monotonic() + within
    pause = _PAUSE_S
    while True:
        loop = uvloop.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            left = within if again else until - monotonic()
            return loop, loop.run_until_complete(_started(make, left))
        except Exception as error:
            _discard(loop)
            hopeless = not isinstance(error, _AWAY) or monotonic() + pause > until
            if hopeless and not again:
                why = str(error) or type(error).__name__
                raise StartError(f"{name} doesn't start: {why}") from error
            _log.warning("%s doesn't start, and is tried again: %r", name, error)
        sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)


async def _started(make: Callable[[], Service], within: float) -> Service:
    async with asyncio.timeout(within):
        service = make()
        await service.start()
        return service


def _discard(loop: asyncio.AbstractEventLoop) -> None:
    """End everything that lives on a loop."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks, timeout=_GRACE_S))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
