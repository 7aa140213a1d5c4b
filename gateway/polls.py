"""Long polls: requests that wait for a game's next event, and for the caller to hang up."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.http import Gone, Receive
from gateway.metrics import Counts
from gateway.settings import GatewaySettings
from gateway.shares import Shares
from runtime.asks import Away, Missed, Refused
from runtime.router import Router

_SLICE_S = 10.0
"""The game's owner is asked anew so often: what a caller who is gone has asked goes then."""

Answer = Missed | Refused | Away


class Polls:
    """Those that wait at one gateway."""

    def __init__(self, router: Router, settings: GatewaySettings, counts: Counts) -> None:
        """Ask `router`."""
        self._router = router
        self._counts = counts
        self._timeout = settings.answer_timeout
        self._places = Shares(settings.polls, settings.caller_polls)
        self._waiting: set[asyncio.Task[Any]] = set()
        self._stopping = False

    async def events(
        self, receive: Receive, who: str, game: str, after: int, wait: float
    ) -> Answer:
        """Return the events after a seq; if there are none, `who` waits for one `wait` seconds.

        Without a place to wait in they're answered at once.

        Raises:
            Gone: As soon as nobody waits for it any more.
        """
        if not wait or self._stopping or not self._places.take(who):
            return await self._now(game, after)
        try:
            return await self._awaited(receive, game, after, wait)
        finally:
            self._places.give(who)

    async def _now(self, game: str, after: int) -> Answer:
        return await self._router.events(game, after, 0.0, self._timeout)

    async def _awaited(self, receive: Receive, game: str, after: int, wait: float) -> Answer:
        poll = asyncio.ensure_future(self._poll(game, after, wait))
        gone = asyncio.ensure_future(_gone(receive))
        self._waiting.add(poll)
        self._counts.polls += 1
        try:
            await asyncio.wait((poll, gone), return_when=asyncio.FIRST_COMPLETED)
            if not poll.done():
                raise Gone
            return await self._now(game, after) if poll.cancelled() else poll.result()
        finally:
            poll.cancel()
            gone.cancel()
            self._waiting.discard(poll)
            self._counts.polls -= 1

    async def _poll(self, game: str, after: int, wait: float) -> Answer:
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        while True:
            left = max(0.0, until - loop.time())
            missed = await self._router.events(game, after, min(left, _SLICE_S), self._timeout)
            if left <= _SLICE_S or not isinstance(missed, Missed) or missed.events:
                return missed

    def stop(self) -> None:
        """Answer all of them now, and let none wait any more."""
        self._stopping = True
        for poll in self._waiting:
            poll.cancel()


async def _gone(receive: Receive) -> None:
    """Return when the client has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass
