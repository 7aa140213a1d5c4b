"""Commands from one game to another: sent again and again until the other game has them.

Each goes under a key made of the sending event's id, so it acts once; and the event stays above the
partition's checkpoint until it was taken, so a crash in between sends it again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from actors.behaviour import Effect
from runtime.asks import Answer, Ask, Away, Refused

_log = logging.getLogger(__name__)
_TIMEOUT_S = 5.0
_PAUSE_S = 0.5


class Asker(Protocol):
    """What effects need of a router."""

    async def ask(self, ask: Ask, timeout: float) -> Answer:
        """Send a command and wait for its answer."""
        ...


class Effects:
    """Sends effects on their way."""

    def __init__(self, asker: Asker, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        """Send by `asker`; `spawn` runs a coroutine in the background."""
        self._asker = asker
        self._spawn = spawn

    def send(self, key: str, effect: Effect, done: Callable[[], None]) -> None:
        """Send `effect` until its game has answered it, then call `done`."""
        self._spawn(self._send(key, effect, done))

    async def _send(self, key: str, effect: Effect, done: Callable[[], None]) -> None:
        kind = effect.kind if effect.command == "create" else None
        ask = Ask(effect.game, effect.command, effect.body, effect.user, key, kind)
        while True:
            answer = await self._asker.ask(ask, _TIMEOUT_S)
            if not isinstance(answer, Away):
                break
            await asyncio.sleep(_PAUSE_S)
        if isinstance(answer, Refused):
            _log.warning("effect %s on game %s: %s", key, effect.game, answer.code)
        done()
