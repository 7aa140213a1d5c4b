"""What is remembered of a game between two commands.

It's made to be small, since a shard holds a hundred thousand of them: positions and moves are
bytes (`actors.chess.position`, `actors.chess.moves`), what many games have in common is one
shared object (`Terms`), and numbers are kept where CPython shares them.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from actors.behaviour import UserId
from actors.chess.endings import Termination
from actors.chess.moves import CODE_SIZE, MOVES, ucis
from actors.chess.position import scratch_of, start_of
from actors.chess.variants import VariantName

Color = Literal["white", "black"]
Status = Literal["open", "started", "ended"]
OfferType = Literal["draw", "takeback", "rematch"]

FIRST_MOVE_S = 30
"""What a game waits for each first move if its creation says nothing. Games are recorded so: it's
never changed; what new games get is a setting (`actors.chess.settings`)."""

_RUN = struct.Struct("<HH")


class Terms(Struct, frozen=True, array_like=True, gc=False):
    """What was agreed before the game; equal terms are one object (`shared`).

    Attributes:
        variant, initial_fen, rated: As in GameCreated.
        initial, increment: Of a Fischer clock, in seconds; both 0 if there's none.
        days: Of a clock that gives days a move; 0 if there's none.
        black_first: Black makes the first move of the game.
        first_move: How long a game with a Fischer clock waits for each first move, in seconds.
    """

    variant: VariantName
    initial_fen: str | None
    initial: int
    increment: int
    days: int
    rated: bool
    black_first: bool
    first_move: int = FIRST_MOVE_S

    @property
    def clocked(self) -> bool:
        """Whether there's a clock at all."""
        return bool(self.initial or self.increment or self.days)


@lru_cache(maxsize=4096)
def shared(terms: Terms) -> Terms:
    """Return the one object that stands for all terms equal to these."""
    return terms


class Offer(Struct, frozen=True, array_like=True, gc=False):
    """A standing offer; its number is the seq of the event that made it."""

    type: OfferType
    by: Color
    seq: int


class Game(Struct, array_like=True, gc=False):
    """One game. The order of the fields is the packed format's (see `actors.chess.packing`).

    Attributes:
        terms: What was agreed before.
        creator: The colour of who made the game.
        created_at, updated_at: Of the first and the newest event, in ms since the epoch.
        white, black: Who sits there.
        invited: Who alone may take the open seat, if somebody.
        joined: Seq of the event that filled the second seat; 0 while one is open.
        status, winner, termination: As in the public API.
        clock_at: Since when the running clock (or the wait for a first move) runs, in ms since
            the epoch; in an ended game, when it stopped.
        white_ms, black_ms: What each had left at `clock_at`; 0 without a clock.
        white_lag, black_lag: The lag that may still be compensated, in hundredths of a second.
        moves: Two bytes a ply.
        shift: The seq of the newest move is its ply + `shift`.
        runs: The same for earlier plies: pairs (first ply no longer meant, shift), u16 each.
        board: The position after the first `placed` moves, and the repetition keys up to there.
        placed: See `board`. It lags behind after a replay, which builds no boards; `settle`
            catches up. The two are a cache: nothing that is decided depends on `placed`.
        offers: The standing ones, at most one of a type.
        asked: Bits of the offers (`ask_bit`) that were made at this ply already.
        next: The game that a rematch was agreed to be.
        rematch_of: The game that this is a rematch of.
    """

    terms: Terms
    creator: Color
    created_at: int
    updated_at: int
    white: UserId | None = None
    black: UserId | None = None
    invited: UserId | None = None
    joined: int = 0
    status: Status = "open"
    winner: Color | None = None
    termination: Termination | None = None
    clock_at: int = 0
    white_ms: int = 0
    black_ms: int = 0
    white_lag: int = 0
    black_lag: int = 0
    moves: bytes = b""
    shift: int = 0
    runs: bytes = b""
    board: bytes = b""
    placed: int = 0
    offers: tuple[Offer, ...] = ()
    asked: int = 0
    next: str | None = None
    rematch_of: str | None = None


def plies(game: Game) -> int:
    """Return how many moves stand on the board."""
    return len(game.moves) // CODE_SIZE


def mover(game: Game, ply: int) -> bool:
    """Return whose move `ply` is; True is white."""
    return bool(ply & 1) == game.terms.black_first


def color_name(color: bool) -> Color:
    """Return the wire's name of python-chess's colour."""
    return "white" if color else "black"


def seat_of(game: Game, user: UserId | None) -> bool | None:
    """Return the colour that `user` plays (True is white), or None."""
    if user is None:
        return None
    if user == game.white:
        return True
    return False if user == game.black else None


def offer_of(game: Game, kind: OfferType) -> Offer | None:
    """Return the standing offer of that type."""
    for offer in game.offers:
        if offer.type == kind:
            return offer
    return None


def ask_bit(kind: OfferType, by: Color) -> int:
    """Return the bit of `Game.asked` for an offer of this type by this side."""
    return 1 << (("draw", "takeback", "rematch").index(kind) * 2 + (by == "white"))


def settle(game: Game) -> bytes:
    """Bring `Game.board` up to the newest move, and return it.

    Live play never has to: `decide` hands the new position to `evolve` with the event.
    """
    if game.placed != plies(game):
        scratch = scratch_of(game.terms.variant)
        scratch.restore(game.board)
        board = game.board
        for uci in ucis(game.moves[game.placed * CODE_SIZE :]):
            board = scratch.advance(MOVES[uci], board)
        game.board, game.placed = board, plies(game)
    return game.board


def board_at(game: Game, ply: int) -> bytes:
    """Return the position and keys before the move `ply`, built from the start."""
    board = start_of(game.terms.variant, game.terms.initial_fen)
    scratch = scratch_of(game.terms.variant)
    scratch.restore(board)
    for uci in ucis(game.moves[: ply * CODE_SIZE]):
        board = scratch.advance(MOVES[uci], board)
    return board


def seq_of(game: Game, ply: int) -> int:
    """Return the seq of the event that played `ply`."""
    for end, shift in _RUN.iter_unpack(game.runs):
        if ply < end:
            return ply + shift
    return ply + game.shift


def append_move(game: Game, code: bytes, seq: int) -> None:
    """Put a move behind the others and remember its seq."""
    ply = plies(game)
    if seq != ply + game.shift:
        if ply:
            game.runs += _RUN.pack(ply, game.shift)
        game.shift = seq - ply
    game.moves += code


def cut_moves(game: Game, ply: int) -> None:
    """Take back the moves from `ply` on; the board follows at once."""
    board = board_at(game, ply)
    runs = list(_RUN.iter_unpack(game.runs))
    while runs and runs[-1][0] >= ply:
        game.shift = runs.pop()[1]
    game.runs = b"".join(_RUN.pack(*run) for run in runs)
    game.moves = game.moves[: ply * CODE_SIZE]
    game.board, game.placed = board, ply
