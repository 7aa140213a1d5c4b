"""How a position ends a game, in python-chess's order of precedence but without its costs.

`chess.Board.outcome()` takes 42 us, nearly all of it to learn that the game goes on. Here the
common case is a few bit operations: a pawn that stands on no line with its king can't be pinned,
so if it can step ahead and there's no check, there's a legal move.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import chess

from actors.chess.position import KEY_SIZE, Scratch

Termination = Literal[
    "checkmate",
    "resignation",
    "timeout",
    "stalemate",
    "insufficient_material",
    "threefold_repetition",
    "fivefold_repetition",
    "fifty_moves",
    "seventyfive_moves",
    "agreement",
    "abandoned",
    "aborted",
    "variant_win",
    "variant_draw",
]

_LINES = [
    chess.BB_RANK_ATTACKS[square][0]
    | chess.BB_FILE_ATTACKS[square][0]
    | chess.BB_DIAG_ATTACKS[square][0]
    for square in chess.SQUARES
]


class Ending(NamedTuple):
    """How a game ended. `winner` is python-chess's colour (True is white), None for nobody."""

    winner: bool | None
    termination: Termination


def ending(scratch: Scratch, packed: bytes) -> Ending | None:
    """Return how the position on the board ends the game by itself, or None.

    Args:
        scratch: The board, just advanced.
        packed: What `advance` returned.
    """
    board = scratch.board
    if not scratch.variant.orthodox and (end := _variant_ending(board)):
        return end
    check = board.is_check()
    stuck = (check or not _has_quiet_pawn(scratch)) and not any(board.generate_legal_moves())
    if check and stuck:
        return Ending(not board.turn, "checkmate")
    drawn = _drawn(scratch, packed, stuck)
    return None if drawn is None else Ending(None, drawn)


def _drawn(scratch: Scratch, packed: bytes, stuck: bool) -> Termination | None:
    if _is_insufficient(scratch):
        return "insufficient_material"
    if stuck:
        return "stalemate"
    if scratch.board.halfmove_clock >= 150 and not scratch.variant.pockets:
        return "seventyfive_moves"
    if len(packed) >= scratch.size + 17 * KEY_SIZE and repetitions(scratch, packed) >= 5:
        return "fivefold_repetition"
    return None


def claimable(scratch: Scratch, packed: bytes) -> Termination | None:
    """Return the draw that the position gives to who claims it, or None.

    Only the position on the board counts, not one that an announced move would reach.
    """
    if repetitions(scratch, packed) >= 3:
        return "threefold_repetition"
    if scratch.board.halfmove_clock >= 100 and not scratch.variant.pockets:
        return "fifty_moves"
    return None


def repetitions(scratch: Scratch, packed: bytes) -> int:
    """Return how often the newest position has stood on the board, this time included."""
    return packed.count(packed[-KEY_SIZE:], scratch.size)


def can_win(scratch: Scratch, color: bool) -> bool:
    """Return whether `color` could still win by any sequence of legal moves.

    As far as the material tells: python-chess's `has_insufficient_material`, which follows
    Lichess for each variant. It decides what a fallen flag is worth (FIDE, article 6.9).
    """
    return not scratch.board.has_insufficient_material(color)


def _variant_ending(board: chess.Board) -> Ending | None:
    if board.is_variant_loss():
        return Ending(not board.turn, "variant_win")
    if board.is_variant_win():
        return Ending(board.turn, "variant_win")
    if board.is_variant_draw():
        return Ending(None, "variant_draw")
    return None


def _has_quiet_pawn(scratch: Scratch) -> bool:
    if not scratch.variant.quiet_pawns:
        return False
    board = scratch.board
    ours = board.occupied_co[board.turn]
    pawns = board.pawns & ours
    king = board.kings & ours
    if king and scratch.variant.royal:
        pawns &= ~_LINES[king.bit_length() - 1]
    return bool((pawns << 8 if board.turn else pawns >> 8) & ~board.occupied)


def _is_insufficient(scratch: Scratch) -> bool:
    board = scratch.board
    if scratch.variant.orthodox and board.pawns | board.rooks | board.queens:
        return False
    # Black first: in horde that settles it.
    return board.has_insufficient_material(chess.BLACK) and board.has_insufficient_material(
        chess.WHITE
    )
