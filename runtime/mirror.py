"""The routing table for those outside the cluster: copied whenever it's a new one, best effort."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from persistence.log import LogError
from runtime.table import RoutingTable

_log = logging.getLogger(__name__)
_EVERY_S = 0.2
_PAUSE_S = 1.0
_AGAIN_S = 30.0
"""A copy that was lost is there again after so long, though nothing has changed."""


class Copy(Protocol):
    """Where the table is copied to."""

    async def publish(self, version: int, routes: Mapping[int, object]) -> bool:
        """See `persistence.redis_routes.RedisRoutes`."""
        ...


def told(table: RoutingTable) -> dict[int, object]:
    """Return the table's routes as outsiders read them; an address is HOST:PORT, or null."""
    return {
        route.partition: {
            "shard": route.shard,
            "epoch": route.epoch,
            "address": None if route.address is None else "{}:{}".format(*route.address),
        }
        for route in table.routes
    }


async def mirror(table: Callable[[], RoutingTable], copy: Copy) -> None:
    """Copy `table()` until cancelled; while the copy can't be written, the newest one waits."""
    loop = asyncio.get_running_loop()
    copied, at, away = None, 0.0, False
    while True:
        newest = table()
        if newest is not copied or loop.time() - at > _AGAIN_S:
            try:
                await copy.publish(newest.version, told(newest))
            except LogError as error:
                if not away:
                    _log.warning("the routing table isn't copied: %s", error)
                away = True
                await asyncio.sleep(_PAUSE_S)
                continue
            copied, at, away = newest, loop.time(), False
        await asyncio.sleep(_EVERY_S)
