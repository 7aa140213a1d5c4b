"""The games that a router watches, and how a watch survives a change of owner."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runtime.asks import Listener
from runtime.resync import Resync
from runtime.wire import Rewatch


class _Watch:
    """One watched game. Until `seq` is known (and while `syncing`) events are not passed on."""

    __slots__ = ("listener", "partition", "seq", "syncing", "untold", "users", "watchers")

    def __init__(self, partition: int, listener: Listener) -> None:
        self.partition = partition
        self.listener = listener
        self.seq: int | None = None
        self.syncing = False
        self.users: Sequence[str] = ()
        self.watchers = 0
        self.untold = False
        """Whether the attendance changed and no owner was told."""


class Watches:
    """Passes each event to its game's listener once and in order, whoever owns the game."""

    def __init__(self, rewatch: Callable[[int, Sequence[Rewatch]], bool]) -> None:
        """Ask the new owner by `rewatch(partition, games)`; it returns whether there is one."""
        self._rewatch = rewatch
        self._resync = Resync(self._ask)
        self._watches: dict[str, _Watch] = {}
        self._by_partition: dict[int, set[str]] = {}

    def add(self, game: str, partition: int, listener: Listener) -> None:
        """Begin to watch, or join."""
        if game not in self._watches:
            self._watches[game] = _Watch(partition, listener)
            self._by_partition.setdefault(partition, set()).add(game)

    def remove(self, game: str) -> int | None:
        """Forget a game; return its partition if it was watched."""
        watch = self._watches.pop(game, None)
        if watch is None:
            return None
        self._resync.forget(watch.partition, game)
        games = self._by_partition[watch.partition]
        games.discard(game)
        if not games:
            del self._by_partition[watch.partition]
        return watch.partition

    def opened(self, game: str, seq: int) -> None:
        """The owner has told all up to `seq`; from there on its events count."""
        watch = self._watches.get(game)
        if watch is not None and watch.seq is None:
            watch.seq = seq

    def event(self, game: str, seq: int, data: bytes) -> bool:
        """Take an event of the owner; return False if nobody here watches the game."""
        watch = self._watches.get(game)
        if watch is None:
            return False
        if watch.seq is None or watch.syncing or seq <= watch.seq:
            return True
        if seq == watch.seq + 1:
            watch.seq = seq
            watch.listener.on_event(seq, data)
        else:
            watch.syncing = True
            self._resync.add(watch.partition, [game])
        return True

    def presence(self, game: str, data: bytes) -> None:
        """Take a presence frame of the owner."""
        watch = self._watches.get(game)
        if watch is not None:
            watch.listener.on_presence(data)

    def attend(self, game: str, users: Sequence[str], watchers: int) -> int | None:
        """Note who is connected here; return the game's partition if it's watched."""
        watch = self._watches.get(game)
        if watch is None:
            return None
        watch.users, watch.watchers, watch.untold = users, watchers, True
        return watch.partition

    def told(self, game: str) -> None:
        """The owner was told who is connected here."""
        watch = self._watches.get(game)
        if watch is not None:
            watch.untold = False

    def moved(self, partition: int) -> None:
        """The partition has (or will have) a new owner, or the same one on a new link.

        Nothing is passed on until that has told what was missed.
        """
        games: list[str] = []
        for game in self._by_partition.get(partition, ()):
            watch = self._watches[game]
            if watch.seq is not None:
                watch.syncing = True
                games.append(game)
        if games:
            self._resync.add(partition, games)

    @property
    def behind(self) -> bool:
        """Whether any watch waits to be taken up again."""
        return self._resync.behind

    def hurry(self, game: str) -> None:
        """Take up the watch of a game before others, if it waits for that."""
        watch = self._watches.get(game)
        if watch is not None and watch.syncing:
            self._resync.hurry(watch.partition, game)

    def _ask(self, partition: int, games: Sequence[str]) -> bool:
        asked: list[Rewatch] = []
        for game in games:
            watch = self._watches[game]
            assert watch.seq is not None
            asked.append(Rewatch(game, watch.seq, watch.users, watch.watchers, watch.untold))
        return self._rewatch(partition, asked)

    def resumed(self, game: str, seq: int, events: Sequence[bytes]) -> None:
        """Pass on what was missed up to `seq`; from there on the new owner's events count."""
        self._resync.done(game)
        watch = self._watches.get(game)
        if watch is None or watch.seq is None:
            return
        watch.syncing = False
        watch.untold = False
        first = seq - len(events) + 1
        for i, data in enumerate(events):
            if first + i == watch.seq + 1:
                watch.seq += 1
                watch.listener.on_event(watch.seq, data)

    def close(self) -> None:
        """Ask for nothing more."""
        self._resync.close()
