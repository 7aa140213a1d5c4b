"""The position that a view shows is written as python-chess writes it."""

from random import Random

import chess
import pytest
from test_chess_perft import PUBLISHED
from test_chess_plain import SPECIAL

from actors.chess.fen import fen_of
from actors.chess.moves import MOVES, UCIS
from actors.chess.position import scratch_of, start_of
from actors.chess.variants import VARIANTS

_STARTS = [
    *((variant, None) for variant in VARIANTS if variant != "fromPosition"),
    *(("fromPosition", fen) for fen in SPECIAL),
    *((variant, fen) for variant, fen, _ in PUBLISHED),
]
_PLIES = 120


@pytest.mark.parametrize(("variant", "fen"), _STARTS)
def test_every_position_of_random_games_reads_as_python_chess_has_it(variant, fen):
    """Whatever the variant: squares, turn, castling, en passant, pockets, checks and counters."""
    scratch, random = scratch_of(variant), Random(7)
    for _ in range(3):
        packed = start_of(variant, fen)
        for _ in range(_PLIES):
            board = scratch.restore(packed)
            assert fen_of(scratch) == board.fen()
            moves = list(board.generate_legal_moves())
            if not moves:
                break
            # Pawns more often than not: en passant and promotions are where FENs differ.
            pawns = [m for m in moves if board.piece_type_at(m.from_square) == chess.PAWN]
            move = random.choice(pawns if pawns and random.random() < 0.6 else moves)
            packed = scratch.advance(MOVES[scratch.find(UCIS[move]) or UCIS[move]], packed)
