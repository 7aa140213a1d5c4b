"""Redis: the hot state of one partition's games. It may be away, wiped, or lose a key at any time."""

from __future__ import annotations

from typing import NamedTuple

from simulation.world import World


class Write(NamedTuple):
    """One MULTI: games, their seqs in `seqs:{p}`, and the checkpoint below which all is here.

    `base` is the (epoch, checkpoint) that the writer left here last; None: this write is whole, it
    carries every game that a replay from `checkpoint` would miss.
    """

    epoch: int
    checkpoint: int
    base: tuple[int, int] | None
    games: dict[str, list[bytes]]


class Hot(NamedTuple):
    """What is read at once."""

    epoch: int
    checkpoint: int
    games: dict[str, list[bytes]]


class Cache:
    """One partition's keys."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.mark: tuple[int, int] | None = None
        self.seqs: dict[str, int] = {}
        self.games: dict[str, tuple[int, list[bytes]]] = {}

    def write(self, write: Write) -> bool:
        """Apply a write, if it's newer than what is here and fits to it; return whether it did."""
        if self.mark is not None and (write.epoch, write.checkpoint) < self.mark:
            return False
        if write.base is None:
            self.seqs = {}
        elif write.base != self.mark:
            return False  # somebody else wrote, or it was wiped: what it misses isn't known
        for game, events in write.games.items():
            self.put(game, write.epoch, events)
            self.seqs[game] = len(events)
        self.mark = write.epoch, write.checkpoint
        return True

    def put(self, game: str, epoch: int, events: list[bytes]) -> None:
        """Set `game:{id}`, forward only."""
        there = self.games.get(game)
        if there is None or (there[0], len(there[1])) <= (epoch, len(events)):
            self.games[game] = epoch, events

    def read(self) -> Hot | None:
        """Return what is here, if it proves complete."""
        if self.mark is None:
            return None
        games: dict[str, list[bytes]] = {}
        for game, seq in self.seqs.items():
            there = self.games.get(game)
            if there is None or len(there[1]) < seq:
                return None
            games[game] = list(there[1])
        return Hot(*self.mark, games)

    def suffer(self) -> None:
        """Lose something."""
        fate = self._world.random()
        if fate < 0.4:
            self.mark, self.seqs, self.games = None, {}, {}
        elif fate < 0.5:
            self.mark = None
        elif self.games:
            game = self._world.rng.choice(list(self.games))
            epoch, events = self.games.pop(game)
            if fate > 0.75:
                self.games[game] = epoch, events[: len(events) // 2]
