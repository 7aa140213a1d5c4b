"""Restarting a gateway while its clients play on at the others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from runtime.host import Peers

_log = logging.getLogger(__name__)
_PAUSE_S = 0.1
_STUCK_S = 60.0
_STOP_S = 15.0
_DRAIN_S = 60.0
_UNEVEN = 0.5
"""A gateway may keep so much more than the mean of all, by share."""


class Gateways(Protocol):
    """Who knows them."""

    def gateways(self) -> Sequence[str]:
        """Return the names of the gateways."""
        ...


class Steps(Protocol):
    """Who is told how far it is."""

    detail: str


class GatewayRestart:
    """One after another, in a restart of everybody."""

    def __init__(self, cluster: Gateways, peers: Peers) -> None:
        """Restart the gateways of `cluster` through `peers`."""
        self._names = cluster.gateways()
        self._peers = peers

    async def restart(self, name: str, progress: Steps, check: Callable[[str], None]) -> None:
        """Restart one; `check` raises if it came back and can't take part.

        Raises:
            TimeoutError: If it doesn't come back.
        """
        if any([await self._is_ready(each) for each in self._names if each != name]):
            progress.detail = f"{name} sends its clients elsewhere"
            await self._drain(name)
        progress.detail = f"{name} starts anew"
        await self._peers.restart(name, _STOP_S)
        try:
            async with asyncio.timeout(_STUCK_S):
                while not await self._is_ready(name):  # noqa: ASYNC110  (another process)
                    await asyncio.sleep(_PAUSE_S)
        except TimeoutError:
            check(name)
            raise

    async def _drain(self, name: str) -> None:
        try:
            await self._peers.call(name, "drain", timeout=_DRAIN_S)
        except Exception as error:  # noqa: BLE001  (then they're cut off, and come back)
            _log.warning("%s doesn't send its clients elsewhere: %s", name, error)

    async def even_out(self) -> None:
        """Have clients connect anew where many are: who restarted last has none."""
        try:
            counts = {name: await self._peers.call(name, "sockets") for name in self._names}
            for name, count in dispersed(counts).items():
                await self._peers.call(name, "disperse", count)
        except Exception as error:  # noqa: BLE001  (they stay where they are)
            _log.warning("the clients stay where they are: %s", error)

    async def _is_ready(self, name: str) -> bool:
        try:
            return await self._peers.call(name, "ready", timeout=2.0)
        except Exception:  # noqa: BLE001  (it isn't there)
            return False


def dispersed(counts: Mapping[str, int]) -> dict[str, int]:
    """Return how many clients of each gateway shall connect anew, so that all have about as many.

    Whoever connects gets any gateway, perhaps the same one again.
    """
    others = len(counts) - 1
    if others < 1:
        return {}
    mean = sum(counts.values()) / len(counts)
    excess = {name: (count - mean) * len(counts) / others for name, count in counts.items()}
    return {name: round(each) for name, each in excess.items() if each > _UNEVEN * mean}
