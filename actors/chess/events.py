"""What happened in a game: published facts. Tags and field names never change.

New fields come with a default, so that old records stay readable; a default isn't written.
`by` and `color` are colours; users stand by their opaque ids.
"""

from __future__ import annotations

from typing import ClassVar

from actors.behaviour import Event, GameId, UserId
from actors.chess.commands import ClockTerms
from actors.chess.endings import Termination
from actors.chess.state import FIRST_MOVE_S, Color
from actors.chess.variants import VariantName


class GameCreated(Event, kw_only=True, omit_defaults=True, tag="GameCreated"):
    """The game exists. It's started if both seats are taken.

    `initial_fen` stands where the game doesn't begin in its variant's one start position (so
    always in Chess960). `opponent` was invited and alone may join. If a side with a Fischer clock
    hasn't made its first move after `first_move` seconds, the game is aborted.
    """

    kind: str
    variant: VariantName
    creator: Color
    rated: bool
    initial_fen: str | None = None
    white: UserId | None = None
    black: UserId | None = None
    opponent: UserId | None = None
    clock: ClockTerms | None = None
    rematch_of: GameId | None = None
    first_move: int = FIRST_MOVE_S


class PlayerJoined(Event, kw_only=True, omit_defaults=True, tag="PlayerJoined"):
    """The open seat was taken; the game is started."""

    user: UserId
    color: Color


class MovePlayed(Event, kw_only=True, omit_defaults=True, dict=True, tag="MovePlayed"):
    """A move. `white_ms`, `black_ms`: what's left after it; `lag_ms`: what wasn't charged."""

    ply: int
    uci: str
    by: Color
    white_ms: int | None = None
    black_ms: int | None = None
    lag_ms: int | None = None

    turns: ClassVar[bool] = True
    after: ClassVar[bytes | None] = None
    """No part of the fact: `decide` has the new position at hand and leaves it on the event that it
    returns, so that `evolve` needn't build it again. It's never written; an event that was read
    from the log has none, and `evolve` does without (`state.settle`)."""


class DrawOffered(Event, kw_only=True, omit_defaults=True, tag="DrawOffered"):
    """It stands until it's answered or the opponent moves."""

    by: Color


class DrawDeclined(Event, kw_only=True, omit_defaults=True, tag="DrawDeclined"):
    """The offer (its seq) is gone."""

    by: Color
    offer: int


class TakebackOffered(Event, kw_only=True, omit_defaults=True, tag="TakebackOffered"):
    """`by` asks to take back their last move. It stands until it's answered or a move is made."""

    by: Color


class TakebackDeclined(Event, kw_only=True, omit_defaults=True, tag="TakebackDeclined"):
    """The request (its seq) is gone."""

    by: Color
    offer: int


class TakenBack(Event, kw_only=True, omit_defaults=True, tag="TakenBack"):
    """The opponent agreed: `ply` is the next to be played again.

    `white_ms`, `black_ms`: what's left. No time is given back, and the increments of the moves
    that were taken back are gone (down to a second).
    """

    by: Color
    ply: int
    white_ms: int | None = None
    black_ms: int | None = None


class TimeExcused(Event, kw_only=True, omit_defaults=True, tag="TimeExcused"):
    """The server was away: `dead_ms` are charged to nobody."""

    dead_ms: int


class GameEnded(Event, kw_only=True, omit_defaults=True, tag="GameEnded"):
    """The game is over."""

    winner: Color | None
    termination: Termination

    ends: ClassVar[bool] = True


class RematchOffered(Event, kw_only=True, omit_defaults=True, tag="RematchOffered"):
    """It stands for an hour after the game's end, until it's answered."""

    by: Color


class RematchDeclined(Event, kw_only=True, omit_defaults=True, tag="RematchDeclined"):
    """The offer (its seq) is gone."""

    by: Color
    offer: int


class RematchAgreed(Event, kw_only=True, omit_defaults=True, tag="RematchAgreed"):
    """Game `next` begins on these terms; for a moment it may be 404 (WebSocket: 4404) still."""

    next: GameId
    white: UserId
    black: UserId
    variant: VariantName
    rated: bool
    fen: str | None = None
    clock: ClockTerms | None = None


EVENTS: tuple[type[Event], ...] = (
    GameCreated,
    PlayerJoined,
    MovePlayed,
    DrawOffered,
    DrawDeclined,
    TakebackOffered,
    TakebackDeclined,
    TakenBack,
    TimeExcused,
    GameEnded,
    RematchOffered,
    RematchDeclined,
    RematchAgreed,
)
