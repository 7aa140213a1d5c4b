"""Which games of a partition are in memory: live, packed, or on their way in from the store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

from persistence.hot_state import Warm
from persistence.log import LogError, Unavailable
from persistence.snapshots import Stored
from runtime.agenda import Agenda
from runtime.behaviours import Kind
from runtime.cell import Cell, restore
from runtime.resting import Resting
from runtime.saving import Loader
from runtime.settings import ShardSettings

_log = logging.getLogger(__name__)
_AT_ONCE = 1000
"""So many games are looked at in one round; more have their turn in the next."""


class Failed(Exception):  # noqa: N818  (a fact about the game)
    """The game's own behaviour can't read or continue it; its owner keeps the rest running."""


Found = Cell | Exception | None
"""A live cell; None: there's no such game; `Failed`, or a `LogError`: it can't be had now."""


class Residents:
    """Live cells by game, and what became of the others."""

    def __init__(
        self, kinds: dict[str, Kind], loader: Loader, settings: ShardSettings, now: float
    ) -> None:
        """Restore games of `kinds`, read by `loader`; `now` is the loop's time."""
        self.cells: dict[str, Cell] = {}
        self.failed: dict[str, str] = {}
        self.now = now
        """The loop's time at the last round: fine enough for `Cell.touched`, and one object."""
        self._kinds = kinds
        self.loader = loader
        """Reads games from where they rest; `runtime.opening` has one of its own for a while."""
        self._settings = settings
        self._resting = Resting(kinds)
        self._loading: dict[str, list[Callable[[Found], None]]] = {}
        self._rounds = Agenda()
        self._first_look = min(settings.save_idle_after, settings.passivate_after)
        self.activated: Callable[[Cell], None] = lambda _: None
        """Hears of every cell that comes (back) to life, before anybody else sees it."""
        self.revive: Callable[[str, Stored | Warm | None], Found] = lambda _game, _stored: None
        """Brings a game to life that the log knows more of than the store; None: it doesn't."""
        self.unread: Callable[[str, int], tuple[int, Sequence[bytes]] | None] = lambda _g, _a: None
        """(game, after) -> (seq, events after `after`) of a game that `revive` would bring to life;
        None: there's no such game, or the log's tail doesn't reach back so far."""

    @property
    def resting(self) -> int:
        """How many games are packed in memory."""
        return len(self._resting)

    def known(self, game: str) -> bool:
        """Return whether a game lives, or failed, here: its events in memory are the newest."""
        return game in self.cells or game in self.failed

    def add(self, cell: Cell) -> None:
        """Keep a cell as live."""
        cell.touched = self.now
        self.cells[cell.game] = cell
        self._rounds.add(int(self.now + self._first_look), cell.game)

    def find(self, game: str, then: Callable[[Found], None]) -> None:
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
        elif (found := self._restored(game, lambda: self._resting.take(game))) is not None:
            then(found)
        else:
            self._loading[game] = [then]
            self.loader.load(game, lambda stored: self._loaded(game, stored))

    def _loaded(self, game: str, stored: Stored | Warm | LogError | None) -> None:
        waiting = self._loading.pop(game, [])
        found = self._woken(game, stored)
        for then in waiting:
            then(found)

    def _woken(self, game: str, stored: Stored | Warm | LogError | None) -> Found:
        # Whoever came first made it live: a "create" that overtook this load, or a take-over that
        # replays every game in its turn.
        if (cell := self.cells.get(game)) is not None:
            return cell
        if (found := self._restored(game, lambda: self._resting.take(game))) is not None:
            return found
        if isinstance(stored, LogError):
            return stored
        if (revived := self.revive(game, stored)) is not None:
            return revived
        if stored is None:
            return None
        return self._restored(game, lambda: restore(game, self._kinds, stored.state))

    def _restored(self, game: str, restore: Callable[[], Cell | None]) -> Found:
        try:
            cell = restore()
        except Exception as error:  # noqa: BLE001  (a game's own failure stays its own)
            _log.exception("game %s can't be restored", game)
            return self.fail(game, f"{type(error).__name__}: {error}")
        return self.begin(cell) if cell is not None else None

    def begin(self, cell: Cell) -> Found:
        """Let a cell live that was restored."""
        self.add(cell)
        try:
            self.activated(cell)
        except Exception as error:  # noqa: BLE001  (a game's own failure stays its own)
            _log.exception("game %s can't be woken", cell.game)
            return self.fail(cell.game, f"{type(error).__name__}: {error}")
        return self.cells.get(cell.game) or Failed(self.failed[cell.game])

    def fail(self, game: str, why: str) -> Failed:
        """Put a game in quarantine: it answers nothing, and harms nobody else."""
        self.failed[game] = why
        self.cells.pop(game, None)
        return Failed(why)

    def idle(self, now: float, watched: Callable[[Cell], bool]) -> Iterator[Cell | None]:
        """Pack the games that nobody needs, a game a step; yield those that are better saved now.

        A game whose players think for long is saved, so that its events needn't be in memory.
        """
        self.now = now
        settings, first_look = self._settings, self._first_look
        for game in self._rounds.take(int(now), _AT_ONCE):
            cell = self.cells.get(game)
            if cell is None:
                continue
            since, next_look = now - cell.touched, now + settings.passivate_after
            if since < first_look:
                next_look = cell.touched + first_look
            elif cell.saved < cell.seq:
                yield cell
                next_look = now + first_look
            elif since < settings.passivate_after:
                next_look = cell.touched + settings.passivate_after
            elif cell.clean and not watched(cell):
                del self.cells[game]
                self._resting.add(cell)
                yield None
                continue
            self._rounds.add(int(next_look), cell.game)
        self._resting.shrink(settings.resting_games)
