"""Games by the moment at which to look at them: a few bytes a game, however many there are."""

from __future__ import annotations

import heapq


class _Slot:
    __slots__ = ("at", "games")

    def __init__(self, at: int) -> None:
        self.at = at
        self.games: list[str] = []


class Agenda:
    """Moments, each with its games. Whoever rounds the moments has few of them, and small ones."""

    def __init__(self) -> None:
        self._slots: dict[int, _Slot] = {}
        self._order: list[int] = []

    def __len__(self) -> int:
        return sum(len(slot.games) for slot in self._slots.values())

    @property
    def first(self) -> int | None:
        """The earliest moment; None if there's nothing to do."""
        return self._order[0] if self._order else None

    def add(self, at: int, game: str) -> int:
        """Look at `game` at `at`; return `at` as the one object that all its games share."""
        slot = self._slots.get(at)
        if slot is None:
            slot = self._slots[at] = _Slot(at)
            heapq.heappush(self._order, at)
        slot.games.append(game)
        return slot.at

    def take(self, now: int, most: int) -> list[str]:
        """Take out up to `most` games whose moment has come, the earliest first."""
        taken: list[str] = []
        while self._order and self._order[0] <= now and len(taken) < most:
            games = self._slots[self._order[0]].games
            room = most - len(taken)
            taken += games[:room]
            del games[:room]
            if not games:
                del self._slots[heapq.heappop(self._order)]
        return taken

    def clear(self) -> None:
        """Forget everything."""
        self._slots.clear()
        self._order.clear()
