"""What an owner writes behind: snapshots and the checkpoint to Postgres, hot state to Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from persistence.ownership import answers
from simulation.loading import Game
from simulation.postgres import Checkpoint, Save, Snapshot
from simulation.redis import Write

if TYPE_CHECKING:
    from simulation.hosted import Hosted


class Held(answers.Answer, frozen=True):
    """Where the games' snapshots are now."""

    held: dict[str, int]


class Written(answers.Answer, frozen=True):
    """Whether a write to the cache counted."""

    counted: bool


class Keeping:
    """Durable states only, forward only."""

    def __init__(self, hosted: Hosted) -> None:
        self.hosted, self.stores = hosted, hosted.stores
        self.saving = False
        self._caching = False
        self._checkpointed = 0
        self._base: tuple[int, int] | None = None
        self._changed: set[str] = set()

    def tick(self) -> None:
        """Write now and then."""
        world, owner = self.hosted.world, self.hosted.owner
        if owner.serving and not owner.sealed:
            if not self.saving and world.random() < world.weather.keeping:
                self.save()
            if world.weather.cached and not self._caching and world.random() < 0.4:
                self._cache()

    def changed(self, game: str) -> None:
        """A game has new durable events."""
        self._changed.add(game)

    # --- snapshots --------------------------------------------------------------------------------

    def snapshot_of(self, game: Game) -> int:
        """Return how many events of a game may leave the process: the durable ones."""
        return game.durable

    def save(self) -> None:
        """Write snapshots, then the checkpoint."""
        dirty = [
            Snapshot(name, game.saved, tuple(game.events[game.saved : self.snapshot_of(game)]))
            for name, game in self.hosted.games.items()
            if self.snapshot_of(game) > game.saved
        ]
        self.saving = True
        if not dirty:
            self._saved(None)
            return
        row = self.stores.row
        self.hosted.shard.request(
            self.hosted, "postgres", Save(tuple(dirty)), lambda: Held(0, row.save(dirty)),
            self._saved,
        )  # fmt: skip

    def _saved(self, answer: Any) -> None:
        self.saving = False
        if isinstance(answer, Held):
            for name, seq in answer.held.items():
                game = self.hosted.games.get(name)
                if game is not None and game.saved < seq <= len(game.events):
                    game.saved = seq
        self._write_checkpoint()
        if self.hosted.releasing and not self.hosted.owner.closed:
            self.hosted.owner.release()
            self.hosted.perform()

    def checkpoint(self) -> int:
        """Return below which offset everything is in the snapshots."""
        unsaved = [g.since for g in self.hosted.games.values() if g.saved < len(g.events)]
        return min(unsaved, default=self.stores.end(self.hosted.owner))

    def _write_checkpoint(self) -> None:
        offset, owner, row = self.checkpoint(), self.hosted.owner, self.stores.row
        if owner.closed or not self.stores.counts(owner) or offset <= self._checkpointed:
            return
        self._checkpointed = offset
        checkpoint = Checkpoint(owner.epoch, offset)
        self.hosted.shard.request(
            self.hosted, "postgres", checkpoint, lambda: row.note_checkpoint(checkpoint),
            lambda _: None,
        )  # fmt: skip

    # --- hot state --------------------------------------------------------------------------------

    def hot(self) -> Write:
        """Return what the cache doesn't know: what changed, or all if it isn't sure what is there."""
        owner, games = self.hosted.owner, self.hosted.games
        names = list(games) if self._base is None else [n for n in self._changed if n in games]
        return Write(
            owner.epoch,
            self.stores.end(owner),
            self._base,
            {name: games[name].events[: self.snapshot_of(games[name])] for name in names},
        )

    def _cache(self) -> None:
        if not self.stores.counts(self.hosted.owner):
            return
        write, cache = self.hot(), self.stores.cache
        self._changed = set()
        self._caching = True

        def written(answer: Any) -> None:
            counted = isinstance(answer, Written) and answer.counted
            self._base = (write.epoch, write.checkpoint) if counted else None
            self._caching = False

        self.hosted.shard.request(
            self.hosted, "redis", write, lambda: Written(0, cache.write(write)), written
        )
