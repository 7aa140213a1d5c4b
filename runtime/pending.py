"""A router's unanswered asks: sent, waiting for an owner, or out of time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any

from runtime.asks import Away
from runtime.link import ClientLink
from runtime.settings import RouterSettings
from runtime.wire import Message

_SWEEP_S = 0.1


class Pending:
    """One ask until it's answered. `since` and `timeout` are in seconds of the loop's clock."""

    __slots__ = ("game", "link", "message", "on_answer", "partition", "since", "timeout", "tries")

    def __init__(
        self,
        game: str,
        partition: int,
        message: Callable[[int, int, int, bool], Message],
        on_answer: Callable[[Any], None],
        since: float,
        timeout: float,
    ) -> None:
        self.game = game
        self.partition = partition
        self.message = message
        self.on_answer = on_answer
        self.since = since
        self.timeout = timeout
        self.tries = 0
        self.link: ClientLink | None = None


class PendingAsks:
    """Numbers the asks, sends them again when the owner changes, ends them at their deadline."""

    def __init__(
        self,
        settings: RouterSettings,
        dispatch: Callable[[int, Pending], bool],
        stale: Callable[[], None],
    ) -> None:
        """Send by `dispatch(reply, pending)`; call `stale` when an owner can't be found."""
        self._settings = settings
        self._dispatch = dispatch
        self._stale = stale
        self._asks: dict[int, Pending] = {}
        self._waiting: dict[int, Pending] = {}
        self._number = 0
        self._retrying: asyncio.TimerHandle | None = None
        self._sweeping: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to watch the deadlines."""
        self._loop = loop
        self._sweeping = loop.call_later(_SWEEP_S, self._sweep)

    def add(self, pending: Pending) -> bool:
        """Send an ask for the first time; return False if there are too many already."""
        if len(self._asks) >= self._settings.pending:
            return False
        self._number += 1
        self._asks[self._number] = pending
        if not self._dispatch(self._number, pending):
            self._wait(self._number, pending)
        return True

    def take(self, reply: int) -> Pending | None:
        """Take out the ask that is answered now; None if its time was over."""
        self._waiting.pop(reply, None)
        return self._asks.pop(reply, None)

    def postpone(self, reply: int) -> None:
        """Whoever was asked isn't the owner: try again when the table changes, or in a moment."""
        pending = self._asks.get(reply)
        if pending is not None:
            pending.link = None
            self._wait(reply, pending)

    def _wait(self, reply: int, pending: Pending) -> None:
        self._waiting[reply] = pending
        self._stale()
        if self._retrying is None:
            self._retrying = self._loop.call_later(self._settings.retry_after, self.retry)

    def retry(self) -> None:
        """Send again what waits for an owner."""
        if self._retrying is not None:
            self._retrying.cancel()
            self._retrying = None
        waiting, self._waiting = self._waiting, {}
        for reply, pending in waiting.items():
            if not self._dispatch(reply, pending):
                self._wait(reply, pending)

    def lost(self, link: ClientLink) -> None:
        """A link broke: whatever was asked by it waits for the next owner."""
        for reply, pending in list(self._asks.items()):
            if pending.link is link:
                self.postpone(reply)

    def moved(self, partitions: AbstractSet[int]) -> None:
        """These have another owner: whatever was asked of the old one waits for it."""
        if partitions:
            for reply, pending in list(self._asks.items()):
                if pending.partition in partitions and pending.link is not None:
                    self.postpone(reply)

    def _sweep(self) -> None:
        now = self._loop.time()
        late = [reply for reply, p in self._asks.items() if now - p.since > p.timeout]
        for reply in late:
            pending = self.take(reply)
            if pending is not None:
                pending.on_answer(Away())
        self._sweeping = self._loop.call_later(_SWEEP_S, self._sweep)

    def close(self) -> None:
        """Answer everything that still waits with `Away`."""
        for timer in (self._retrying, self._sweeping):
            if timer is not None:
                timer.cancel()
        asks, self._asks = self._asks, {}
        self._waiting.clear()
        for pending in asks.values():
            pending.on_answer(Away())
