"""What `actors.chess.view` answers, as types: the published shapes. Nothing is made of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from actors.behaviour import GameId, Player, UserId
from actors.chess.endings import Termination
from actors.chess.state import Color, OfferType, Status
from actors.chess.variants import VariantName

_Time = Annotated[datetime, Meta(tz=True)]


class ChessClock(Struct, kw_only=True):
    """Both clocks as of `at`. Either `initial` and `increment` (seconds), or `days` a move.

    With the former the game is aborted when a side's first move takes `first_move` seconds.
    """

    initial: int | UnsetType = UNSET
    increment: int | UnsetType = UNSET
    first_move: int | UnsetType = UNSET
    days: int | UnsetType = UNSET
    white_ms: int
    black_ms: int
    running: Color | None
    at: _Time


class ChessOffer(Struct, kw_only=True):
    """An offer that's open; `offer` is its seq, by which it's answered."""

    type: OfferType
    by: Color
    offer: int


class ChessGame(Struct, kw_only=True):
    """A game of chess. `moves` are in UCI; `san`, the same in words, comes only if asked for."""

    kind: Literal["chess"]
    status: Status
    variant: VariantName
    initial_fen: str
    fen: str
    moves: list[str]
    turn: Color
    white: Player | None
    black: Player | None
    creator: UserId
    opponent: Player | None
    clock: ChessClock | None
    offers: list[ChessOffer]
    winner: Color | None
    termination: Termination | None
    rated: bool
    rematch: GameId | None
    rematch_of: GameId | None
    created_at: _Time
    updated_at: _Time
    san: list[str] | UnsetType = UNSET


class ChessLegality(Struct, kw_only=True):
    """Whether the side to move may play it, and if so how that's written."""

    legal: bool
    san: str | UnsetType = UNSET


ANSWERS: dict[str, type[Struct]] = {"state": ChessGame, "validate": ChessLegality}
