"""Games that somebody here follows, and who: one copy of each event comes in, many go out.

An event becomes one WebSocket frame, the same bytes for everybody, written straight to the
transports. Players come first; a crowd of watchers is written to a few hundred at a time.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, TimerHandle
from collections import deque
from collections.abc import Callable, Iterable
from time import monotonic
from typing import NamedTuple, Protocol

from gateway.frames import text_frame
from gateway.metrics import Counts
from gateway.pauses import Pauses
from gateway.settings import GatewaySettings
from runtime.asks import Away, Missed, Packed, Refused
from runtime.router import Router

Opening = Packed | Missed | Refused | Away
_LATER = 1 << 62
_AGAIN_S = 5.0
"""A command that couldn't be passed on counts as the same one if it comes again within this."""


class Outlet(Protocol):
    """Where a subscriber's frames go. Never waits and never fails."""

    def write(self, frame: bytes) -> None:
        """Send a frame."""
        ...


class Thought(NamedTuple):
    """How long somebody had thought when their command came.

    Attributes:
        ms: -1 if unknown.
        turned: The event that had passed the turn.
    """

    ms: int = -1
    turned: int = 0


UNKNOWN = Thought()


class Unanswered(NamedTuple):
    """A command that couldn't be passed on, and may come again.

    Attributes:
        frame: The hash of its frame: who has decided on another move has thought on.
        thought: When it came first.
        until: By the monotonic clock: whoever sends it again later has thought on.
    """

    frame: int
    thought: Thought
    until: float


class Subscriber:
    """One socket's place at one game. Events up to `seq` have been sent to it."""

    __slots__ = (
        *("backlog", "first", "left", "outlet", "player", "presence", "seq", "unanswered", "user"),
    )

    def __init__(self, outlet: Outlet, user: str | None) -> None:
        self.outlet = outlet
        self.user = user
        self.seq = _LATER
        self.first = _LATER
        """What came later was sent to it as it happened."""
        self.unanswered: Unanswered | None = None
        self.player = False
        self.left = False
        self.backlog: list[bytes] | None = []
        """Events that came while its beginning was being prepared; None once that is sent."""
        self.presence = b""
        """The newest presence of that time."""

    def keep(self, frame: bytes, thought: Thought) -> None:
        """Remember a command that couldn't be passed on: if it comes again, it's as old as now."""
        if thought is not UNKNOWN:
            self.unanswered = Unanswered(hash(frame), thought, monotonic() + _AGAIN_S)

    def take(self, seq: int, frame: bytes) -> None:
        """Send an event, unless it's known already."""
        if self.seq < seq:
            self.seq = seq
            if self.backlog is None:
                self.outlet.write(frame)
            else:
                self.backlog.append(frame)

    def tell(self, frame: bytes) -> None:
        """Send a presence frame."""
        if self.backlog is None:
            self.outlet.write(frame)
        else:
            self.presence = frame

    def opened(self, seq: int) -> None:
        """The beginning tells all up to `seq`; later events wait until it's sent (`started`)."""
        self.seq = self.first = seq

    def started(self) -> bytes:
        """The beginning is being sent now; return the frames that came meanwhile."""
        self.first = self.seq  # what came meanwhile has waited
        frames = b"".join(self.backlog or ()) + self.presence
        self.backlog, self.presence = None, b""
        return frames


class Topic:
    """One game. It's the router's listener."""

    def __init__(self, game: str, topics: Topics) -> None:
        self.game = game
        self.players: list[Subscriber] = []
        self.watchers: dict[Subscriber, None] = {}
        self.seats: frozenset[str] = frozenset()
        """Who plays, as far as it's known here; that a player comes or goes is told at once."""
        self.told_at = float("-inf")
        """When the game's owner last heard who is connected, by the loop's clock..."""
        self.told: frozenset[str | None] = frozenset()
        """...and which of its players were."""
        self.gathering: TimerHandle | None = None
        self.turned = 0
        """The newest event after which somebody else thinks..."""
        self.turned_at = 0.0
        """...and when it came here, by the monotonic clock."""
        self._topics = topics
        self._crowd: deque[tuple[int, bytes]] = deque()
        self._rest: list[Subscriber] = []

    def __len__(self) -> int:
        return len(self.players) + len(self.watchers)

    def on_event(self, seq: int, data: bytes) -> None:
        """Send an event to all: the players now, and the first few hundred watchers."""
        frame, counts = text_frame(data), self._topics.counts
        counts.events += 1
        if data.startswith(self._topics.turning):
            self.turned, self.turned_at = seq, monotonic()
        for subscriber in self.players:
            subscriber.take(seq, frame)
        counts.frames_out += len(self.players)
        self._spread(seq, frame)

    def on_presence(self, data: bytes) -> None:
        """Send a presence frame to all."""
        frame = text_frame(data)
        for subscriber in self.players:
            subscriber.tell(frame)
        self._spread(0, frame)

    def _spread(self, seq: int, frame: bytes) -> None:
        if self._crowd or len(self.watchers) > self._topics.fanout:
            self._crowd.append((seq, frame))
            if len(self._crowd) == 1:
                self._rest = list(self.watchers)
                self._step()
            return
        self._write(seq, frame, self.watchers)

    def _write(self, seq: int, frame: bytes, to: list[Subscriber] | dict[Subscriber, None]) -> None:
        if seq:
            for subscriber in to:
                subscriber.take(seq, frame)
        else:
            for subscriber in to:
                subscriber.tell(frame)
        self._topics.counts.frames_out += len(to)

    def _step(self) -> None:
        """Write the oldest frame to the next watchers, then let others have their turn."""
        fanout = self._topics.fanout
        seq, frame = self._crowd[0]
        now, self._rest = self._rest[:fanout], self._rest[fanout:]
        self._write(seq, frame, now)
        if not self._rest:
            self._crowd.popleft()
            self._rest = list(self.watchers)
        if self._crowd:
            self._topics.loop.call_soon(self._step)

    def promote(self, subscriber: Subscriber) -> None:
        """Somebody turned out to be a player: serve it first, once nothing older is on its way."""
        if not subscriber.player and not self._crowd and subscriber in self.watchers:
            subscriber.player = True
            del self.watchers[subscriber]
            self.players.append(subscriber)

    def add(self, subscriber: Subscriber) -> None:
        """Take a subscriber in; who isn't known as a player is a watcher for now."""
        self.watchers[subscriber] = None
        if subscriber.user in self.seats:
            self.promote(subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        """Let a subscriber go."""
        if subscriber.player:
            self.players.remove(subscriber)
        else:
            self.watchers.pop(subscriber, None)
        subscriber.seq = _LATER
        subscriber.left = True

    def attendance(self) -> tuple[list[str], int]:
        """Return who is connected, and how many sockets that are."""
        present = [s for some in (self.players, self.watchers) for s in some if s.seq < _LATER]
        return list({s.user: None for s in present if s.user is not None}), len(present)

    def present(self) -> frozenset[str | None]:
        """Return which of the players are connected."""
        return frozenset(s.user for s in self.players if s.seq < _LATER)


class Topics:
    """All games that somebody here follows."""

    def __init__(
        self,
        router: Router,
        settings: GatewaySettings,
        counts: Counts,
        loop: AbstractEventLoop,
        turning: tuple[bytes, ...] = (),
    ) -> None:
        """Watch games through `router`; events that begin with one of `turning` pass the turn."""
        self.turning = turning
        self._pauses = Pauses(loop)
        self.counts = counts
        self.loop = loop
        self.fanout = settings.fanout
        self._gather = settings.gather
        self._timeout = settings.answer_timeout
        self._router = router
        self._topics: dict[str, Topic] = {}
        self._changed: dict[Topic, None] = {}

    def join(
        self, game: str, after: int | None, subscriber: Subscriber, then: Callable[[Opening], None]
    ) -> None:
        """Follow a game; `then` is called with the beginning, unless the subscriber left before.

        A subscriber whose beginning is a refusal has to `leave`.
        """
        topic = self._topics.get(game)
        if topic is None:
            topic = self._topics[game] = Topic(game, self)
            self.counts.topics += 1
        topic.add(subscriber)
        self.counts.subscriptions += 1

        def opened(opening: Opening) -> None:
            if subscriber.left:
                return
            if isinstance(opening, Packed | Missed):
                subscriber.opened(opening.seq)
                self.changed(game)
            then(opening)

        self._router.watch(game, after, topic, self._timeout, opened)

    def leave(self, game: str, subscriber: Subscriber) -> None:
        """Follow a game no more."""
        topic = self._topics.get(game)
        if topic is None or subscriber.left:
            return
        topic.remove(subscriber)
        self.counts.subscriptions -= 1
        if len(topic):
            self.changed(game)
            return
        del self._topics[game]
        self._changed.pop(topic, None)
        if topic.gathering is not None:
            topic.gathering.cancel()
        self.counts.topics -= 1
        self._router.attend(game, (), 0)
        self._router.unwatch(game)

    def promote(self, game: str, subscriber: Subscriber) -> None:
        """Note that a subscriber is a player of the game."""
        topic = self._topics.get(game)
        if topic is not None:
            topic.promote(subscriber)

    def thought(self, game: str, subscriber: Subscriber, frame: bytes) -> Thought:
        """Return how long the subscriber, whose command comes now, has had the turn before them.

        That's known only if the event that passed the turn was sent to this very socket as it
        happened: nobody saves time by connecting anew. The time in which this process hung isn't
        counted, nor what goes by until a command comes again that couldn't be passed on.
        """
        topic = self._topics.get(game)
        if topic is None or topic.turned <= subscriber.first:
            return UNKNOWN
        if (before := subscriber.unanswered) is not None:
            again = before.frame == hash(frame) and before.thought.turned == topic.turned
            if again and monotonic() <= before.until:
                return before.thought
            subscriber.unanswered = None
        return Thought(int(1000 * self._pauses.awake_since(topic.turned_at)), topic.turned)

    def close(self) -> None:
        """Measure nothing any more."""
        self._pauses.close()

    def seated(self, game: str, users: Iterable[str], subscriber: Subscriber) -> None:
        """Note who plays the game, as the subscriber's beginning shows it."""
        topic = self._topics.get(game)
        if topic is not None:
            topic.seats = frozenset(users)
            if subscriber.user in topic.seats and not subscriber.player:
                topic.promote(subscriber)
                self.changed(game)

    def changed(self, game: str) -> None:
        """Tell the game's owner who is connected: of a player soon, of watchers not too often.

        Everybody at the game hears of it, so whoever comes and goes would be heard by all.
        """
        topic = self._topics.get(game)
        if topic is None:
            return
        if not self._changed:
            self.loop.call_soon(self._attend)
        self._changed[topic] = None

    def _attend(self) -> None:
        changed, self._changed = self._changed, {}
        now = self.loop.time()
        for topic in changed:
            wait = topic.told_at + self._gather - now
            if wait <= 0 or topic.present() != topic.told:
                self._tell(topic)
            elif topic.gathering is None:
                topic.gathering = self.loop.call_later(wait, self._tell, topic)

    def _tell(self, topic: Topic) -> None:
        if topic.gathering is not None:
            topic.gathering.cancel()
            topic.gathering = None
        topic.told_at, topic.told = self.loop.time(), topic.present()
        self._router.attend(topic.game, *topic.attendance())
