"""The games that a router watches, and how a watch survives a change of owner."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runtime.asks import Listener, Missed


class _Watch:
    """One watched game. Until `seq` is known (and while `syncing`) events are not passed on."""

    __slots__ = ("attendance", "listener", "partition", "seq", "syncing")

    def __init__(self, partition: int, listener: Listener) -> None:
        self.partition = partition
        self.listener = listener
        self.seq: int | None = None
        self.syncing = False
        self.attendance: tuple[Sequence[str], int] | None = None


class Watches:
    """Passes each event to its game's listener once and in order, whoever owns the game."""

    def __init__(self, rewatch: Callable[[str, int, int], None]) -> None:
        """Ask `rewatch(game, partition, after)` for what came after a seq, at the new owner."""
        self._rewatch = rewatch
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
            self._resync(game, watch)
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
        watch.attendance = users, watchers
        return watch.partition

    def attendance(self, game: str) -> tuple[Sequence[str], int] | None:
        """Return who is connected here."""
        watch = self._watches.get(game)
        return watch.attendance if watch is not None else None

    def moved(self, partition: int) -> None:
        """The partition has a new owner (or the same one on a new link): watch its games there."""
        for game in self._by_partition.get(partition, set()).copy():
            self._resync(game, self._watches[game])

    def lost(self, partition: int) -> None:
        """Its owner gave the partition up: pass nothing on until the next one is found."""
        self.moved(partition)

    def _resync(self, game: str, watch: _Watch) -> None:
        if watch.seq is not None and not watch.syncing:
            watch.syncing = True
            self._rewatch(game, watch.partition, watch.seq)

    def seq(self, game: str, otherwise: int) -> int:
        """Return up to where a game was heard."""
        watch = self._watches.get(game)
        return otherwise if watch is None or watch.seq is None else watch.seq

    def resumed(self, game: str, missed: Missed) -> None:
        """Pass on what was missed; from there on the new owner's events count."""
        watch = self._watches.get(game)
        if watch is None or watch.seq is None:
            return
        watch.syncing = False
        first = missed.seq - len(missed.events) + 1
        for i, data in enumerate(missed.events):
            seq = first + i
            if seq == watch.seq + 1:
                watch.seq = seq
                watch.listener.on_event(seq, data)
