"""Which games of a partition are in memory: live, packed, or on their way in from the store."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator

from persistence.log import LogError, Unavailable
from persistence.snapshots import Stored
from runtime.behaviours import Kind
from runtime.cell import Cell, restore
from runtime.saving import Loader
from runtime.settings import ShardSettings

_log = logging.getLogger(__name__)


class Failed(Exception):  # noqa: N818  (a fact about the game)
    """The game's own behaviour can't read or continue it; its owner keeps the rest running."""


Found = Cell | Exception | None
"""A live cell; None: there's no such game; `Failed`, or a `LogError`: it can't be had now."""


class Residents:
    """Live cells by game, and what became of the others."""

    def __init__(self, kinds: dict[str, Kind], loader: Loader, settings: ShardSettings) -> None:
        """Restore games of `kinds`, read by `loader`."""
        self.cells: dict[str, Cell] = {}
        self.failed: dict[str, str] = {}
        self._kinds = kinds
        self._loader = loader
        self._settings = settings
        self._resting: dict[str, bytes] = {}
        self._loading: dict[str, list[Callable[[Found], None]]] = {}
        self._rounds: deque[tuple[float, str]] = deque()
        self.activated: Callable[[Cell], None] = lambda _: None
        """Hears of every cell that comes (back) to life, before anybody else sees it."""
        self.revive: Callable[[str, Stored | None], Found] = lambda _game, _stored: None
        """Brings a game to life that the log knows more of than the store; None: it doesn't."""

    @property
    def resting(self) -> int:
        """How many games are packed in memory."""
        return len(self._resting)

    def add(self, cell: Cell, now: float) -> None:
        """Keep a cell as live; `now` is the loop's time."""
        cell.touched = now
        self.cells[cell.game] = cell
        self._rounds.append((now + self._settings.passivate_after, cell.game))

    def find(self, game: str, now: float, then: Callable[[Found], None]) -> None:
        """Call `then` with the cell once it's live: at once, or when the store has answered."""
        cell = self.cells.get(game)
        if cell is not None:
            then(cell)
        elif game in self.failed:
            then(Failed(self.failed[game]))
        elif game in self._loading:
            waiting = self._loading[game]
            if len(waiting) < self._settings.waiting_commands:
                waiting.append(then)
            else:
                then(Unavailable("too many commands wait for this game"))
        elif (packed := self._resting.pop(game, None)) is not None:
            then(self._restore(game, packed, now))
        else:
            self._loading[game] = [then]
            self._loader.load(game, lambda stored: self._loaded(game, now, stored))

    def _loaded(self, game: str, now: float, stored: Stored | LogError | None) -> None:
        waiting = self._loading.pop(game, [])
        found = self._woken(game, now, stored)
        for then in waiting:
            then(found)

    def _woken(self, game: str, now: float, stored: Stored | LogError | None) -> Found:
        # Whoever came first made it live: a "create" that overtook this load, or a take-over that
        # replays every game in its turn.
        if (cell := self.cells.get(game)) is not None:
            return cell
        if isinstance(stored, LogError):
            return stored
        if (revived := self.revive(game, stored)) is not None:
            return revived
        return self._restore(game, stored.state, now) if stored is not None else None

    def _restore(self, game: str, data: bytes, now: float) -> Found:
        try:
            cell = restore(game, self._kinds, data)
        except Exception as error:  # noqa: BLE001  (a game's own failure stays its own)
            _log.exception("game %s can't be restored", game)
            return self.fail(game, f"{type(error).__name__}: {error}")
        self.add(cell, now)
        self.activated(cell)
        return cell

    def fail(self, game: str, why: str) -> Failed:
        """Put a game in quarantine: it answers nothing, and harms nobody else."""
        self.failed[game] = why
        self.cells.pop(game, None)
        return Failed(why)

    def passivate(self, now: float, watched: Callable[[str], bool]) -> Iterator[Cell]:
        """Pack the games that nobody needs; yield each as it leaves."""
        rounds, after = self._rounds, self._settings.passivate_after
        while rounds and rounds[0][0] <= now:
            _, game = rounds.popleft()
            cell = self.cells.get(game)
            if cell is None:
                continue
            if cell.clean and now - cell.touched >= after and not watched(game):
                del self.cells[game]
                yield cell
                self._resting[game] = cell.pack()
            else:
                rounds.append((max(now, cell.touched) + after, game))
        while len(self._resting) > self._settings.resting_games:
            del self._resting[next(iter(self._resting))]
