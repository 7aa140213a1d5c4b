"""What players (and the runtime) may ask of a game. Names and fields are the public API's.

Sizes and ranges are checked by `actors.chess.decide` and `actors.chess.create`, not here.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from msgspec import Struct

from actors.behaviour import Command, GameId, Query, UserId
from actors.chess.variants import VariantName


class ClockTerms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A clock: `initial` and `increment` in seconds (Fischer), or `days` a move, not both."""

    initial: int | None = None
    increment: int | None = None
    days: int | None = None


class CreateGame(Command, tag="create"):
    """Make a game and take a seat in it.

    `fen` needs no variant: with "standard" it makes a game "fromPosition". If `opponent` is
    named, nobody else may join. A game that nobody joins is aborted after a day, or after 30 days
    if its clock is one of days.
    """

    # The last three are for a rematch, which is created by the game before: both sit at once.
    internal: ClassVar[tuple[str, ...]] = ("white", "black", "rematch_of")

    kind: str = "chess"
    variant: VariantName = "standard"
    fen: str | None = None
    color: Literal["white", "black", "random"] = "random"
    opponent: UserId | None = None
    clock: ClockTerms | None = None
    rated: bool = False
    white: UserId | None = None
    black: UserId | None = None
    rematch_of: GameId | None = None


class JoinGame(Command, tag="join"):
    """Take the open seat. After the end, or when the seat was open for too long: `game_over`."""

    answers_game: ClassVar[bool] = True


class PlayMove(Command, tag="move"):
    """Play `uci` as move number `ply` (from 0; the present one if it isn't given).

    The same move at the same ply is recognised as a repeat.
    """

    uci: str
    ply: int | None = None

    @property
    def known_again(self) -> bool:
        """See `Command.known_again`."""
        return self.ply is not None


class Resign(Command, tag="resign"):
    """Give up."""


class Abort(Command, tag="abort"):
    """End a game in which not both have moved; it counts for nobody."""


class Draw(Command, tag="draw"):
    """Offer a draw; or answer the opponent's offer with `accept` (`offer`: its seq)."""

    accept: bool | None = None
    offer: int | None = None


class Takeback(Command, tag="takeback"):
    """Ask to take back one's last move; or answer the opponent's request."""

    accept: bool | None = None
    offer: int | None = None


class ClaimDraw(Command, tag="claim-draw"):
    """Claim a draw by the position on the board: threefold repetition or fifty moves."""


class ClaimVictory(Command, tag="claim-victory"):
    """Claim the game from an opponent who left: to move, and without a connection, for 60 s.

    Only in games with a Fischer clock, once both have moved. An opponent who never opened a
    WebSocket of this game (because they play over HTTP, say) hasn't left it.
    """

    wants_presence: ClassVar[bool] = True


class Rematch(Command, tag="rematch"):
    """Offer another game with colours swapped; or answer the opponent's offer."""

    accept: bool | None = None
    offer: int | None = None


class GetGame(Query):
    """The whole game. `san` adds its moves in standard algebraic notation."""

    san: bool = False


class ValidateMove(Query):
    """Whether a move is legal now, and how it's written."""

    uci: str


COMMANDS: dict[str, type[Command]] = {
    "create": CreateGame,
    "join": JoinGame,
    "move": PlayMove,
    "resign": Resign,
    "abort": Abort,
    "draw": Draw,
    "takeback": Takeback,
    "claim-draw": ClaimDraw,
    "claim-victory": ClaimVictory,
    "rematch": Rematch,
}

PATHS: dict[str, str] = {"move": "moves"}

QUERIES: dict[str, type[Query]] = {"state": GetGame, "validate": ValidateMove}
