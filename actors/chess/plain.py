"""Plain moves of orthodox chess, made on packed positions without a board.

Nearly all moves neither castle nor promote, have nothing to do with en passant and leave the game
going on. For them python-chess's legality, push and search for an answer cost three times what the
few bit operations here do. Everything else is left to python-chess, illegal moves among it: what
isn't plain isn't judged. Tests hold every judgement to python-chess's.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct as Format

import chess
from chess import (
    BB_DIAG_ATTACKS,
    BB_DIAG_MASKS,
    BB_FILE_ATTACKS,
    BB_FILE_MASKS,
    BB_KING_ATTACKS,
    BB_KNIGHT_ATTACKS,
    BB_PAWN_ATTACKS,
    BB_RANK_ATTACKS,
    BB_RANK_MASKS,
)

from actors.chess.moves import MOVES
from actors.chess.position import KEY_SIZE, key_of

_POSITION = Format("<8QBBHH")
_SIZE = _POSITION.size
_DRAWN_PLIES = 150
_DRAWN_SIZE = _SIZE + 17 * KEY_SIZE
"""Only from here on may 75 moves have passed in vain, or a position have stood five times."""

_PAWN, _KNIGHT, _BISHOP, _ROOK, _QUEEN, _KING = range(6)
_STEP, _TAKE = (9, 6), (10, 7)
"""A pawn's two ways to go: Black's, White's."""
_HOME = (chess.BB_RANK_8, chess.BB_RANK_1)
_DIAGONALS = [attacks[0] for attacks in BB_DIAG_ATTACKS]
_STRAIGHTS = [
    ranks[0] | files[0] for ranks, files in zip(BB_RANK_ATTACKS, BB_FILE_ATTACKS, strict=True)
]


def _kinds(start: int, to: int) -> int:
    """Return the bits of those who may go from `start` to `to` on an empty board."""
    diagonal = BB_DIAG_ATTACKS[start][0] >> to & 1
    straight = (BB_RANK_ATTACKS[start][0] | BB_FILE_ATTACKS[start][0]) >> to & 1
    kinds = diagonal << _BISHOP | straight << _ROOK | (diagonal | straight) << _QUEEN
    kinds |= (BB_KNIGHT_ATTACKS[start] >> to & 1) << _KNIGHT
    kinds |= (BB_KING_ATTACKS[start] >> to & 1) << _KING
    if chess.square_rank(to) not in (0, 7):
        for color, ahead, home in ((chess.WHITE, 8, 1), (chess.BLACK, -8, 6)):
            far = 2 * ahead if chess.square_rank(start) == home else ahead
            kinds |= (to - start in (ahead, far)) << _STEP[color]
            kinds |= (BB_PAWN_ATTACKS[color][start] >> to & 1) << _TAKE[color]
    return kinds


_WAYS: dict[str, tuple[int, int, int, int]] = {
    uci: (start, to, chess.between(start, to), kinds)
    for uci, move in MOVES.items()
    if (kinds := _kinds(start := move.from_square, to := move.to_square))
    and not (move.promotion or move.drop)
}
"""UCI -> from, to, the squares between, who may go so."""


def step(packed: bytes, uci: str) -> tuple[bytes, bool] | None:
    """Return what `Scratch.advance` would, and whether the game surely goes on; None: not plain.

    Args:
        packed: A position of orthodox chess, then its repetition keys.
        uci: The move; whatever a client may send.
    """
    way = _WAYS.get(uci)
    if way is None:
        return None
    pawns, knights, bishops, rooks, queens, white, black, castling, turn, _, clock, number = (
        _POSITION.unpack_from(packed)
    )
    kings = (white | black) ^ (pawns | knights | bishops | rooks | queens)
    men = [pawns, knights, bishops, rooks, queens, kings]
    ours, theirs = (white, black) if turn else (black, white)
    piece = _mover(men, ours, theirs, turn, way)
    if piece is None:
        return None
    left, entered = 1 << way[0], 1 << way[1]
    taken = theirs & entered
    if taken:
        theirs ^= entered
        men[_piece_at(men, entered)] ^= entered
    ours ^= left | entered
    men[piece] ^= left | entered
    pawns, knights, bishops, rooks, queens, kings = men
    if _attackers(men, (kings & ours).bit_length() - 1, theirs, ours, not turn):
        return None
    rights = castling & ~(left | entered)
    if piece == _KING:
        rights &= ~_HOME[turn]
    clock = 0 if taken or piece == _PAWN else clock + 1
    white, black = (ours, theirs) if turn else (theirs, ours)
    position = _POSITION.pack(pawns, knights, bishops, rooks, queens, white, black, rights,
        not turn, 0, clock, number + (not turn))  # fmt: skip
    keys = packed[_SIZE:] if clock and rights == castling else b""
    after = position + keys + key_of(position)
    lasts = clock < _DRAWN_PLIES and len(after) < _DRAWN_SIZE and _can_move(men, theirs, ours, turn)
    return after, lasts


def _piece_at(men: Sequence[int], square: int) -> int:
    for piece, squares in enumerate(men):
        if squares & square:
            return piece
    raise AssertionError("nobody stands there")


def _mover(
    men: Sequence[int], ours: int, theirs: int, turn: int, way: tuple[int, int, int, int]
) -> int | None:
    """Return which piece goes that way, king's safety apart; None if none of ours plainly does."""
    start, to, path, kinds = way
    left, entered = 1 << start, 1 << to
    if not ours & left or ours & entered or (ours | theirs) & path:
        return None
    piece = kind = _piece_at(men, left)
    if piece == _PAWN:
        kind = _TAKE[turn] if theirs & entered else _STEP[turn]
        if path and men[_PAWN] & theirs & BB_PAWN_ATTACKS[turn][(start + to) // 2]:
            return None  # en passant may follow
    return piece if kinds >> kind & 1 else None


def _attackers(men: Sequence[int], square: int, by: int, others: int, color: int) -> int:
    """Return who of the men `by`, who are `color`'s, attacks a square."""
    pawns, knights, bishops, rooks, queens, kings = men
    steppers = BB_PAWN_ATTACKS[not color][square] & pawns
    steppers |= BB_KNIGHT_ATTACKS[square] & knights | BB_KING_ATTACKS[square] & kings
    if steppers & by:
        return steppers & by
    occupied = by | others
    sliders = _DIAGONALS[square] & (bishops | queens) & by
    if sliders:
        sliders &= BB_DIAG_ATTACKS[square][BB_DIAG_MASKS[square] & occupied]
        if sliders:
            return sliders
    sliders = _STRAIGHTS[square] & (rooks | queens) & by
    if sliders:
        sliders &= (
            BB_RANK_ATTACKS[square][BB_RANK_MASKS[square] & occupied]
            | BB_FILE_ATTACKS[square][BB_FILE_MASKS[square] & occupied]
        )
    return sliders


def _can_move(men: Sequence[int], ours: int, theirs: int, opponent: int) -> bool:
    """Return whether those who are to move surely can, and have what it takes to win.

    A pawn that stands on no line with its king can step ahead if there's no check; a king can
    step wherever it's not attacked.
    """
    pawns, _, _, rooks, queens, kings = men
    if not pawns | rooks | queens:
        return False
    king = kings & ours
    square = king.bit_length() - 1
    free = pawns & ours & ~(_DIAGONALS[square] | _STRAIGHTS[square])
    quiet = (free >> 8 if opponent else free << 8) & ~(ours | theirs)
    if quiet and not _attackers(men, square, theirs, ours, opponent):
        return True
    others = ours ^ king
    return any(
        not _attackers(men, to, theirs, others, opponent)
        for to in chess.scan_forward(BB_KING_ATTACKS[square] & ~ours)
    )
