"""How games come back to memory: hot state, else snapshots, and behind them the log's tail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from persistence.log import Record
from persistence.ownership import actions, answers
from persistence.ownership.row import PartitionOpened
from simulation.redis import Hot
from simulation.world import Violation

if TYPE_CHECKING:
    from simulation.hosted import Hosted


class Game:
    """A game in memory: its events; how many are durable, and how many in a snapshot."""

    __slots__ = ("durable", "events", "saved", "since")

    def __init__(self, events: list[bytes], saved: int, since: int) -> None:
        self.events = events
        self.durable = len(events)
        self.saved = saved
        self.since = since
        """Offset from which a replay finds what isn't in its snapshot."""


class Stored(answers.Answer, frozen=True):
    """What Postgres holds."""

    games: dict[str, list[bytes]]
    rows: Sequence[Record] = ()
    offset: int = 0
    places: int = 0


class Cached(answers.Answer, frozen=True):
    """What Redis holds, if it's complete."""

    hot: Hot | None


class Gap(Exception):  # noqa: N818  (what it is)
    """An event is missing between what was stored and the tail."""


class Loading:
    """Performs `Load` and `LoadOutbox`."""

    def __init__(self, hosted: Hosted) -> None:
        self.hosted, self.stores = hosted, hosted.stores

    def load(self, request: actions.Load) -> None:
        """See the action."""
        if self.hosted.world.weather.cached:
            self._load_hot(request)
        else:
            self._load_stored(request, None)

    def _load_hot(self, request: actions.Load) -> None:
        def read() -> Cached:
            return Cached(request.number, self.stores.cache.read())

        def loaded(answer: Any) -> None:
            hot = answer.hot if isinstance(answer, Cached) else None
            useful = hot is not None and request.start <= hot.checkpoint <= request.end
            self._load_stored(request, hot if useful else None)

        self.hosted.shard.request(self.hosted, "redis", request, read, loaded)

    def _load_stored(self, request: actions.Load, hot: Hot | None) -> None:
        def loaded(answer: Any) -> None:
            if isinstance(answer, Stored):
                self._load_tail(request, answer.games, hot)
            else:
                self.hosted.receive(answer)

        self.hosted.shard.request(
            self.hosted, "postgres", request, lambda: self._stored(request.number), loaded
        )

    def _stored(self, number: int) -> Stored:
        row = self.stores.row
        return Stored(
            number,
            {name: list(events) for name, events in row.snapshots.items()},
            tuple(row.rows()),
            row.offset,
            max(row.outbox, default=-1) + 1,
        )

    def _load_tail(
        self, request: actions.Load, stored: dict[str, list[bytes]], hot: Hot | None
    ) -> None:
        entries = self.stores.log()
        start = request.start if hot is None else hot.checkpoint

        def tail() -> answers.KafkaRead:
            return answers.KafkaRead(request.number, tuple(entries[start : request.end]))

        def loaded(answer: Any) -> None:
            if not isinstance(answer, answers.KafkaRead):
                self.hosted.receive(answer)
                return
            try:
                highest = self.replay(stored, answer.entries, start, hot)
            except Gap as gap:
                if hot is None:
                    raise Violation(f"{self.hosted}: {gap}") from gap
                self._load_tail(request, stored, None)  # the next tier
            else:
                self.hosted.receive(answers.Loaded(request.number, highest))

        self.hosted.shard.request(self.hosted, self.stores.place, request, tail, loaded)

    def load_outbox(self, request: actions.LoadOutbox) -> None:
        """See the action."""

        def loaded(answer: Any) -> None:
            if isinstance(answer, Stored):
                self.replay_rows(answer)
                self.hosted.receive(answers.Loaded(request.number, 0, answer.places))
            else:
                self.hosted.receive(answer)

        def read() -> answers.Answer:
            if self.stores.row.holds(request):
                return self._stored(request.number)
            return answers.NotOurs(request.number)

        world, shard = self.hosted.world, self.hosted.shard
        slow = 0.0 if world.calm else world.weather.slow_loads * world.random()
        world.at(slow, shard.request, self.hosted, "postgres", request, read, loaded)

    def replay_rows(self, stored: Stored) -> None:
        """Bring the games to life from Postgres alone."""
        try:
            self.replay(stored.games, stored.rows, stored.offset, None, step=0)
        except Gap as gap:
            raise Violation(f"{self.hosted}: {gap}") from gap

    def replay(
        self,
        stored: dict[str, list[bytes]],
        entries: Sequence[Any],
        offset: int,
        hot: Hot | None,
        step: int = 1,
    ) -> int:
        """Bring the games to life; return the highest epoch that is seen on the way.

        Raises:
            Gap: If an event is missing.
        """
        start = offset
        games = {name: Game(list(events), len(events), start) for name, events in stored.items()}
        for name, events in hot.games.items() if hot is not None else ():
            saved = len(stored.get(name, ()))
            if len(events) > saved:
                games[name] = Game(list(events), saved, 0)
        highest = 0 if hot is None else hot.epoch
        for entry in entries:
            if isinstance(entry, PartitionOpened):
                highest = max(highest, entry.epoch)
            else:
                game = games.setdefault(entry.game, Game([], 0, start))
                have = len(game.events)
                if entry.seq > have + 1:
                    raise Gap(f"{entry} at {offset} follows #{have} of its game")
                if entry.seq == have + 1:
                    if have == game.saved:
                        game.since = offset
                    game.events.append(entry.value)
                    game.durable = entry.seq
            offset += step
        self.hosted.games = games
        return highest
