"""Plain moves, told from packed positions alone, are what python-chess makes of them."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path

import chess.pgn
import pytest
from test_chess_perft import PUBLISHED

from actors.chess.endings import ending
from actors.chess.legality import judge
from actors.chess.moves import MOVES, UCIS
from actors.chess.plain import step
from actors.chess.position import new_board, scratch_of, start_of
from actors.chess.variants import VARIANTS

CORPUS = Path(__file__).parents[3] / "bench" / "games"
SPECIAL = [
    "4k3/8/8/8/8/8/8/R3K2R w KQ - 0 1",
    "r3k2r/8/8/8/8/8/6p1/R3K2R b KQkq - 3 9",
    "4k3/8/8/2pP4/8/8/8/4K3 w - c6 0 2",
    "4k3/8/8/2KpP2r/8/8/8/8 w - d6 0 2",
    "4k3/2p1p3/8/1P1P4/8/8/8/4K3 b - - 0 1",
    "7k/P7/8/8/8/8/8/K7 w - - 0 1",
    "7k/8/5K2/8/8/8/8/6Q1 w - - 148 100",
    "7k/8/5K2/8/8/8/8/6Q1 w - - 149 100",
    "2k5/8/b2b4/8/8/8/4n1P1/7K b - - 0 1",
    "8/8/4k3/8/8/3Kn3/8/8 w - - 0 1",
    "8/8/8/8/8/k7/p7/K7 b - - 0 1",
    "5k2/5P2/8/5K2/8/8/8/8 w - - 0 1",
    "3rk3/8/8/8/8/8/3R4/3K3r w - - 0 1",
]
"""Rights, en passant, promotions, the last plies, pins, bare kings, stalemates, double checks."""


def _hold_to_python_chess(variant: str, packed: bytes, uci: str) -> bool:
    """Compare a step with python-chess's; return whether it was taken for a plain one."""
    told, scratch = step(packed, uci), scratch_of(variant)
    if told is None:
        return False
    scratch.restore(packed)
    assert scratch.find(uci) == uci
    assert told[0] == scratch.advance(MOVES[uci], packed)
    assert not (told[1] and ending(scratch, told[0]))
    return True


def _positions(variant: str, packed: bytes, depth: int) -> Iterator[bytes]:
    yield packed
    if depth:
        for move in list(scratch_of(variant).restore(packed).generate_legal_moves()):
            scratch_of(variant).restore(packed)
            yield from _positions(variant, scratch_of(variant).advance(move, packed), depth - 1)


ORTHODOX = [(variant, fen) for variant, fen, _ in PUBLISHED if VARIANTS[variant].orthodox]


@pytest.mark.parametrize(("variant", "fen"), [*ORTHODOX, *(("fromPosition", f) for f in SPECIAL)])
def test_what_is_told_of_a_move_is_python_chess_s(variant: str, fen: str) -> None:
    """Of whatever a client may send, in many positions, a plain move is legal, and so made."""
    start = scratch_of(variant).load(new_board(variant, fen))
    positions = [start, *random.Random(fen).choices(list(_positions(variant, start, 2)), k=200)]
    for packed in positions[:20]:
        for uci in MOVES:
            _hold_to_python_chess(variant, packed, uci)
    for packed in positions[20:]:
        for move in list(scratch_of(variant).restore(packed).generate_legal_moves()):
            _hold_to_python_chess(variant, packed, UCIS[move])


@pytest.mark.parametrize("file", ["standard.pgn", "endings.pgn"])
def test_moves_of_games_are_told_as_python_chess_would(file: str) -> None:
    """Every plain move of the corpus is made right, and of ten moves nine are plain."""
    text, plain, moves = io.StringIO((CORPUS / file).read_text()), 0, 0
    while (game := chess.pgn.read_game(text)) is not None:
        packed = start_of("fromPosition", game.headers.get("FEN"))
        for move in game.mainline_moves():
            uci = move.uci()
            plain += _hold_to_python_chess("fromPosition", packed, uci)
            moves += 1
            judged = judge("fromPosition", packed, uci)
            assert judged is not None
            packed = judged[1]
    assert plain > 0.9 * moves > 0


def test_a_position_s_end_is_seen_however_plain_the_move() -> None:
    """Mate, stalemate, a dead position, 75 moves and a fifth time end the game after plain moves."""
    for fen, uci, termination in [
        ("7k/8/5K2/8/8/8/8/6Q1 w - - 0 1", "g1g7", "checkmate"),
        ("7k/8/5K2/8/8/8/8/5Q2 w - - 0 1", "f1g2", None),
        ("7k/5K2/8/8/8/8/8/1Q6 w - - 0 1", "b1g6", "stalemate"),
        ("7k/8/8/8/8/8/1p6/K7 w - - 0 1", "a1b2", "insufficient_material"),
        ("7k/8/5K2/8/8/8/8/6Q1 w - - 149 100", "g1g2", "seventyfive_moves"),
    ]:
        judged = judge("fromPosition", start_of("fromPosition", fen), uci)
        assert judged is not None
        assert (judged[2] and judged[2].termination) == termination
    packed = start_of("standard", None)
    for uci in ["g1f3", "g8f6", "f3g1", "f6g8"] * 4:
        judged = judge("standard", packed, uci)
        assert judged is not None
        packed = judged[1]
    assert judged[2] is not None
    assert judged[2].termination == "fivefold_repetition"
