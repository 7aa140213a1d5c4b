"""Taking up watches again: after a take-over thousands of games must be watched at their new owner.

They're asked for in slices, so that neither end is kept from the commands that wait meanwhile.
Whose command is on its way goes first, or its event would reach the owner's watchers late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import islice

SLICE = 50
"""So many games are asked for at a time."""
_PAUSE_S = 0.02
_PATIENCE_S = 5.0


class Resync:
    """Which games are to be asked for, and which were and aren't answered yet."""

    def __init__(self, ask: Callable[[int, Sequence[str]], bool]) -> None:
        """Ask by `ask(partition, games)`; it returns whether there's an owner to ask."""
        self._ask = ask
        self._waiting: dict[int, dict[str, None]] = {}
        self._asked: dict[str, tuple[int, float]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def add(self, partition: int, games: Sequence[str]) -> None:
        """Ask for these games (again)."""
        for game in games:
            self._asked.pop(game, None)
        self._waiting.setdefault(partition, {}).update(dict.fromkeys(games))
        self._schedule(0.0)

    @property
    def behind(self) -> bool:
        """Whether any game waits to be asked for."""
        return bool(self._waiting)

    def hurry(self, partition: int, game: str) -> None:
        """Ask for a game at once, if it waits and there's an owner."""
        games = self._waiting.get(partition, {})
        if game in games and self._ask(partition, [game]):
            self._begun(partition, games, [game], asyncio.get_running_loop().time())

    def _begun(
        self, partition: int, games: dict[str, None], some: Sequence[str], now: float
    ) -> None:
        for game in some:
            del games[game]
            self._asked[game] = partition, now
        if not games:
            del self._waiting[partition]

    def done(self, game: str) -> None:
        """A game was answered."""
        self._asked.pop(game, None)

    def forget(self, partition: int, game: str) -> None:
        """Nobody watches the game any more."""
        self._asked.pop(game, None)
        self._waiting.get(partition, {}).pop(game, None)

    def _schedule(self, after: float) -> None:
        """Have a turn after so long, unless one is due hardly later: slices keep apart."""
        loop = asyncio.get_running_loop()
        due = loop.time() + after
        if self._timer is not None:
            if self._due <= due + _PAUSE_S:
                return
            self._timer.cancel()  # that one only looks after answers that are overdue
        self._timer, self._due = loop.call_later(after, self._turn), due

    def _turn(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        room = SLICE
        for partition, games in list(self._waiting.items()):
            some = list(islice(games, room))
            if some and not self._ask(partition, some):
                continue  # no owner yet; it's asked when there is one, or in a moment
            room -= len(some)
            self._begun(partition, games, some, now)
        for game, (partition, since) in list(self._asked.items()):
            if now - since <= _PATIENCE_S:
                break  # they're in the order in which they were asked
            self.add(partition, [game])
        if self._waiting:
            self._schedule(_PAUSE_S)
        elif self._asked:
            self._schedule(_PATIENCE_S / 5)

    def close(self) -> None:
        """Ask for nothing more."""
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()
        self._asked.clear()
