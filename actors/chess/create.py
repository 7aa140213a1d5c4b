"""How a game comes to be: its terms are checked here, once."""

from __future__ import annotations

from typing import get_args

import chess
import chess.variant

from actors.behaviour import Context, Rejected, UserId
from actors.chess.commands import ClockTerms, CreateGame
from actors.chess.endings import ending
from actors.chess.events import GameCreated
from actors.chess.position import new_board, scratch_of
from actors.chess.settings import ChessSettings
from actors.chess.state import FIRST_MOVE_S, Color
from actors.chess.variants import VARIANTS, VariantName

_ID_LENGTH = 128
_FEN_LENGTH = 200
_INITIAL_S = 10_800
_INCREMENT_S = 180
_DAYS = 14
_MOVE_NUMBER = 9_999
_POCKET = 32
_CHESS960_POSITIONS = 960


def create(command: CreateGame, context: Context, settings: ChessSettings) -> tuple[GameCreated]:
    """Return the game's first event, which holds whatever `settings` mean for it.

    Raises:
        Rejected: "invalid_request", or "bad_position" if no game can begin with the FEN.
    """
    if command.kind != "chess" or command.variant not in VARIANTS:
        raise _invalid("There's no such kind or variant.")
    clock = _clock(command.clock)
    white, black, creator = _seats(command, context)
    variant, fen = _start(command.variant, command.fen, context.seed >> 1)
    return (
        GameCreated(
            kind="chess",
            variant=variant,
            initial_fen=fen,
            white=white,
            black=black,
            creator=creator,
            opponent=command.opponent,
            clock=clock,
            rated=command.rated,
            rematch_of=command.rematch_of,
            first_move=settings.first_move if _is_fischer(clock) else FIRST_MOVE_S,
        ),
    )


def _invalid(detail: str) -> Rejected:
    return Rejected("invalid_request", detail)


def _clock(terms: ClockTerms | None) -> ClockTerms | None:
    if terms is None:
        return None
    if terms.days is not None:
        if terms.initial is not None or terms.increment is not None:
            raise _invalid("A clock has days, or initial and increment, not both.")
        if not 1 <= terms.days <= _DAYS:
            raise _invalid(f"A clock has 1 to {_DAYS} days a move.")
        return terms
    initial, increment = terms.initial or 0, terms.increment or 0
    if not (0 <= initial <= _INITIAL_S and 0 <= increment <= _INCREMENT_S):
        raise _invalid(f"initial is 0 to {_INITIAL_S} s, increment 0 to {_INCREMENT_S} s.")
    if not initial + increment:
        raise _invalid("A clock needs time: initial and increment are both 0.")
    return ClockTerms(initial=initial, increment=increment)


def _is_fischer(clock: ClockTerms | None) -> bool:
    return clock is not None and clock.days is None


def _seats(command: CreateGame, context: Context) -> tuple[UserId | None, UserId | None, Color]:
    if context.user is None:
        white, black = _player(command.white), _player(command.black)
        if white is None or black is None or white == black or command.opponent is not None:
            raise _invalid("A game without a creator needs its two players, and nothing else.")
        return white, black, "white"
    if command.white is not None or command.black is not None or command.rematch_of is not None:
        raise _invalid("Seats are taken with color and opponent.")
    if _player(command.opponent) == context.user:
        raise _invalid("Nobody plays against themselves.")
    if command.color not in {"white", "black", "random"}:
        raise _invalid("color is white, black or random.")
    color: str = command.color
    if color == "random":
        color = "white" if context.seed & 1 else "black"
    return (context.user, None, "white") if color == "white" else (None, context.user, "black")


def _player(user: UserId | None) -> UserId | None:
    if user is not None and not (1 <= len(user) <= _ID_LENGTH and user.isprintable()):
        raise _invalid("That's no user's id.")
    return user


def _start(variant: VariantName, fen: str | None, seed: int) -> tuple[VariantName, str | None]:
    """Return the variant and the start position as they're recorded (None: the usual one)."""
    if fen is None:
        if variant == "fromPosition":
            raise _invalid("A game from a position needs a fen.")
        if variant != "chess960":
            return variant, None
        board = chess.Board.from_chess960_pos(seed % _CHESS960_POSITIONS)
        return variant, board.fen()
    board = _parse(variant, fen)
    fen = board.fen()
    if fen == VARIANTS[variant].board(chess960=VARIANTS[variant].chess960).fen():
        if variant in {"standard", "fromPosition"}:
            return "standard", None
        if variant != "chess960":
            return variant, None
    return ("fromPosition" if variant == "standard" else variant), fen


def _parse(variant: VariantName, fen: str) -> chess.Board:
    """Return the board of a position in which a game can begin."""
    if len(fen) > _FEN_LENGTH or not fen.isascii() or not fen.isprintable():
        raise Rejected("bad_position", "That's no FEN.")
    try:
        board = new_board(variant, fen)
    except (ValueError, IndexError, KeyError, AssertionError):
        raise Rejected("bad_position", "That's no FEN of this variant.") from None
    if not board.is_valid() or not _plausible(board):
        raise Rejected("bad_position", "No game of this variant can begin there.")
    scratch = scratch_of(variant)
    if ending(scratch, scratch.load(board)) is not None:
        raise Rejected("bad_position", "The game would be over before it began.")
    return board


def _plausible(board: chess.Board) -> bool:
    """Check what python-chess doesn't: sizes of the counters, and rights that mean nothing."""
    if board.fullmove_number > _MOVE_NUMBER or board.halfmove_clock > 2 * _MOVE_NUMBER:
        return False
    if isinstance(board, chess.variant.AntichessBoard):
        return not board.castling_rights
    if isinstance(board, chess.variant.ThreeCheckBoard):
        return all(1 <= checks <= 3 for checks in board.remaining_checks)
    if isinstance(board, chess.variant.CrazyhouseBoard):
        return all(
            not pocket.count(chess.KING) and len(pocket) <= _POCKET for pocket in board.pockets
        )
    return True


assert set(get_args(VariantName)) == set(VARIANTS)
