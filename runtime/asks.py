"""What goes between a client of the runtime (a gateway, an effect, a handle) and a game's owner.

These are the words of `runtime.router.Router`; `runtime.wire` is how they travel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct


class Ask(Struct, frozen=True):
    """One command on its way to a game.

    Attributes:
        game: The game's id. For "create" the asker chose it.
        command: Public name ("move").
        body: The command's JSON. It may be a whole WebSocket frame (with type, id, game).
        user: Who asks; None is nobody in particular.
        key: The idempotency key, if the client gave one; else the router draws one for itself.
        kind: For "create": which behaviour.
        fresh: For "create": the id was drawn at random just now, so there's nothing to look up.
            The router clears it itself when it tries again.
        round_trip_ms: The asker's round trip as the server measured it; 0 if unknown.
        thought_ms: See `actors.behaviour.Context`; -1 if unknown.
    """

    game: str
    command: str
    body: bytes
    user: str | None
    key: str | None = None
    kind: str | None = None
    fresh: bool = False
    round_trip_ms: int = 0
    thought_ms: int = -1


class Done(Struct, frozen=True):
    """The command stands in the log as event `seq`, whose JSON is `data`.

    `repeated`: it was done earlier, and this is the first answer again.
    `resent`: the router had to send it more than once, so the repeat may be its own.
    """

    seq: int
    data: bytes
    repeated: bool = False
    resent: bool = False


class Refused(Struct, frozen=True):
    """The command was not done: the rules or the runtime say why. Nothing happened.

    The runtime's own codes: "no_such_game", "unknown_command", "invalid_request", "key_reused",
    "game_exists", "game_failed" (the behaviour raised), "too_many_events", "too_large" (more than
    a link carries), "overloaded"; the others are the behaviour's (`Behaviour.rejections`). One
    tells of no refusal: "answer_too_large" (what was asked stands, only its answer can't be sent).
    """

    code: str
    detail: str = ""


class Away(Struct, frozen=True):
    """No owner answered in time, or the log is away: nobody knows whether the command was done.

    The same command may be sent again (with its key or ply); it acts once.
    """

    retry_after_ms: int = 1000


Answer = Done | Refused | Away


class GameError(Exception):
    """What a Ray program sees of `Refused` and `Away`.

    Attributes:
        code: "unavailable" for `Away`, else why the command was refused.
        detail: A sentence for a person.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


class Packed(Struct, frozen=True):
    """A durable state, as `Behaviour.unpack` reads it."""

    kind: str
    seq: int
    state: bytes


class Missed(Struct, frozen=True):
    """The events after the asked seq, each as its JSON, in order, up to `seq`."""

    kind: str
    seq: int
    events: Sequence[bytes]


class Listener(Protocol):
    """Who hears a game's events. Both are called from the event loop and must not block."""

    def on_event(self, seq: int, data: bytes) -> None:
        """Take the next event: each once, in order, without gaps, also across take-overs."""
        ...

    def on_presence(self, data: bytes) -> None:
        """Take a presence frame, ready for the socket."""
        ...
