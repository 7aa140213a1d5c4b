"""What the runtime asks of a game: pure functions over msgspec Structs.

A behaviour is a module (or any object) with the attributes of `Behaviour`, registered as an
entry point in the group ``gameshard.behaviours`` under the name of its kind. It never awaits,
logs, reads a clock or draws randomness: all of that arrives in the `Context`.

    command + state --decide--> events --evolve--> state
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, ClassVar, Protocol, runtime_checkable

import msgspec
from msgspec import Struct

GameId = str
UserId = str


class Command(Struct, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """A wish, in the imperative. Clients send it as JSON; unknown fields are refused.

    The two fields belong to the envelope of a WebSocket frame and are there only so that a
    whole frame decodes at once; behaviours don't read them.
    """

    id: str | None = None
    game: str | None = None

    @property
    def known_again(self) -> bool:
        """Whether `decide` knows a repeat of this very command by its content (see `Repeated`)."""
        return False

    wants_presence: ClassVar[bool] = False
    """Whether `decide` needs `Context.away` (it costs a little to fill in)."""
    answers_game: ClassVar[bool] = False
    """Whether HTTP answers it with the whole game instead of the event."""
    internal: ClassVar[tuple[str, ...]] = ()
    """Fields that only games send each other (`Effect`); clients aren't told of them."""


class Event(Struct, kw_only=True, tag_field="type"):
    """A fact, in the past tense. The runtime stamps `game`, `seq` and `at`; then it's history.

    Its JSON is encoded once and goes to the log and to every socket as the same bytes.
    """

    game: GameId = ""
    seq: int = 0
    at: datetime = datetime.fromtimestamp(0, UTC)

    ends: ClassVar[bool] = False
    """Whether the game is over with it (it's then saved and leaves memory soon)."""
    turns: ClassVar[bool] = False
    """Whether somebody else's time begins with it: from when a gateway has sent it to a player it
    measures how long they think (`Context.thought_ms`)."""


class Query(Struct, kw_only=True, forbid_unknown_fields=True):
    """A question about a state. It changes nothing and is answered away from the game's owner."""


class Player(Struct, frozen=True):
    """Somebody in the answer to a query. A game gives the id, the gateway adds the name."""

    id: UserId
    name: str | None


class Deadline(Struct, frozen=True):
    """The runtime's own command: the moment that `next_deadline` named has come.

    It may come early (after a clock's correction) or late: `decide` looks at `Context.now` and
    returns no events when nothing is due.
    """


class Resume(Struct, frozen=True):
    """The runtime's own command: nobody owned this game for `dead_ms`, so charge nobody for it.

    It's given once per game after an outage, before anything else happens to the game.
    """

    dead_ms: int


class Context(Struct, frozen=True):
    """What `decide` may know beyond the state and the command.

    Attributes:
        game: The id of the game.
        now: Milliseconds since the epoch; never runs backwards within one game.
        user: Who asks; `None` is the runtime itself.
        round_trip_ms: The asker's round trip as the server measured it; 0 if unknown.
        held_ms: How long a gateway held the command while no owner answered; uncharged.
        thought_ms: How long the asker had before them the newest event that `Event.turns`, as
            their gateway measured it, which had sent it to the very socket that the command came
            from; -1 if unknown. It may be longer than what they are charged for, never shorter.
        seed: 64 random bits, the only randomness there is.
        away: For commands that ask for it (`Command.wants_presence`): the seated users who had
            an open connection and have none now, each with the moment (ms since the epoch) since
            when. Who was never seen to connect may be using plain HTTP and isn't among them.
        version: The version to write events in: one of `Versioned.versions`.
    """

    game: GameId
    now: int
    user: UserId | None = None
    round_trip_ms: int = 0
    held_ms: int = 0
    seed: int = 0
    away: Mapping[UserId, int] = {}
    version: int = 1
    thought_ms: int = -1


class Effect(Struct, frozen=True):
    """A command to another game, sent until that game has taken it.

    Sent at least once, under an idempotency key of the sending game's own, so it acts once.
    `command` is the public name ("create" makes a new game) and `body` its JSON.
    """

    kind: str
    game: GameId
    command: str
    body: bytes
    user: UserId | None = None


class Outline(Struct, frozen=True):
    """What the runtime and the store know of any game without knowing the game.

    Attributes:
        status: "open", "started" or "ended"; an ended game takes no more time of anybody.
        seats: Every seat's name with its player, in a fixed order.
        moves: How many moves stand on the board.
    """

    status: str
    seats: tuple[tuple[str, UserId | None], ...]
    moves: int


class BehaviourError(Exception):
    """Root of what a behaviour may raise on purpose."""


class Rejected(BehaviourError):  # noqa: N818  (a rule, not a failure)
    """The rules forbid the command; nothing happened.

    Attributes:
        code: A stable word that clients may compare, such as "illegal_move".
        detail: A sentence for a person.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


class Repeated(BehaviourError):  # noqa: N818  (ditto)
    """The command was done before and is recognised by its content: event `seq` answers it."""

    def __init__(self, seq: int) -> None:
        super().__init__(seq)
        self.seq = seq


class Behaviour(Protocol):
    """One kind of game. State is any type that the behaviour chooses."""

    kind: str
    """The name under which games of this kind are created, such as "chess"."""
    commands: Mapping[str, type[Command]]
    """Public name (the WebSocket frame's `type`) -> command. "create" is always among them."""
    paths: Mapping[str, str]
    """Public name -> last segment of the HTTP path, where it differs ({"move": "moves"})."""
    queries: Mapping[str, type[Query]]
    """Public name -> query; "state" is always among them (GET /games/{id}; its fields are the
    query parameters); the others are POST /games/{id}/{name}."""
    answers: Mapping[str, type[Struct]]
    """Public name of each query -> the shape of what `view` answers, for the API's documents."""
    exports: Mapping[str, str]
    """Ending of the path -> media type of what `export` returns ({"pgn": "application/..."})."""
    events: Sequence[type[Event]]
    """Every event, of every version that `evolve` still reads."""
    rejections: Mapping[str, int]
    """Every code that `decide` and `view` may raise in `Rejected` -> HTTP status."""

    def decide(self, state: Any, command: Any, context: Context) -> Sequence[Event]:
        """Return the facts that `command` produces on `state` (`None`: the game is new).

        `command` is one of `commands`, a `Deadline` or a `Resume`.

        Raises:
            Rejected: If the rules forbid it; nothing happened.
            Repeated: If it's a repeat of what event `seq` did.
        """
        ...

    def evolve(self, state: Any, event: Any) -> Any:
        """Return the state after `event`. History is never refused; may update in place."""
        ...

    def next_deadline(self, state: Any) -> int | None:
        """Return when the game wants a `Deadline` next, in ms since the epoch."""
        ...

    def outline(self, state: Any) -> Outline:
        """Return what the runtime may know of the game."""
        ...

    def effects(self, event: Any) -> Sequence[Effect]:
        """Return the commands to other games that follow from `event`."""
        ...

    def pack(self, state: Any) -> bytes:
        """Return the state as compact bytes that name their own version."""
        ...

    def unpack(self, data: bytes) -> Any:
        """Return the state of `pack`ed bytes of this or any older version."""
        ...

    def view(self, state: Any, query: Any, viewer: UserId | None) -> Mapping[str, Any]:
        """Answer one of `queries` as `viewer` may see it, ready for JSON.

        A `Player` stands in it as {"id": USER}; the gateway adds names. May raise `Rejected`.
        """
        ...

    def export(
        self, ending: str, events: Sequence[Any], names: Mapping[UserId, str] | None = None
    ) -> str:
        """Render the game's whole history (`events` from seq 1) as one of `exports`.

        `names` holds the display names of those seated users that have one: any text on one line.
        """
        ...


@runtime_checkable
class Configurable(Behaviour, Protocol):
    """A behaviour that leaves something to the operator.

    Settings are known to `decide` alone, and whatever they mean for a game has to be in its events:
    a history is told under other settings than those that it was made under.
    """

    settings: type[Struct]
    """What may be set, each field with a default; set as GAMESHARD_<KIND>_<FIELD>."""

    def configured(self, settings: Any) -> Behaviour:
        """Return the behaviour under these settings."""
        ...


@runtime_checkable
class Versioned(Behaviour, Protocol):
    """A behaviour that writes what older programs read, as long as there are any.

    A new field with a default, in an event or in a state, needs no new version: whoever doesn't
    know it passes over it. An event that older programs don't know needs one, as does anything else
    that they would read wrongly. While `Context.version` is older, `decide` returns only what was
    known then, and a command that can't be told so is `Rejected`. A command that only a new version
    knows isn't an `effects` of the same version: its game's owner may not have heard yet.
    """

    versions: Sequence[int]
    """Those that it can write, one after the other; it reads all up to the last."""

    def pack(self, state: Any, version: int | None = None) -> bytes:
        """Return the state in one of `versions`; None is the newest.

        The state came about by events of that or an older version.
        """
        ...


# Under load many events share a moment: then a datetime costs a tenth of what it costs alone.
@lru_cache(maxsize=64)
def millis(at: datetime) -> int:
    """Return `at` in milliseconds since the epoch."""
    return round(at.timestamp() * 1000)


@lru_cache(maxsize=64)
def instant(now: int) -> datetime:
    """Return `now`, in milliseconds since the epoch, as a UTC datetime."""
    return datetime.fromtimestamp(now / 1000, UTC)


def event_decoder(behaviour: Behaviour) -> msgspec.json.Decoder[Any]:
    """Return a decoder of the JSON of any of the behaviour's events."""
    union: Any = None
    for event in behaviour.events:
        union = event if union is None else union | event
    return msgspec.json.Decoder(union)
