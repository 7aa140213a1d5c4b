"""Legality against published move counts, counted by the code that judges players' moves.

The counts are published on the Chess Programming Wiki ("Perft Results", "Chess960 Perft
Results"), on talkchess.com (threads 42463, 55274, 71379), and for the variants in the perft suites
that python-chess and shakmaty share (examples/perft of python-chess names the original sources).
"""

from __future__ import annotations

import pytest

from actors.chess.legality import judge
from actors.chess.moves import MOVES, UCIS
from actors.chess.position import new_board, scratch_of

PUBLISHED = [
    ("standard", "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1", [20, 400, 8902, 197281]),
    ("standard", "r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R w KQkq - 0 1", [48, 2039, 97862]),
    ("standard", "8/2p5/3p4/KP5r/1R3p1k/8/4P1P1/8 w - - 0 1", [14, 191, 2812, 43238]),
    ("standard", "r2q1rk1/pP1p2pp/Q4n2/bbp1p3/Np6/1B3NBn/pPPP1PPP/R3K2R b KQ - 0 1", [6, 264, 9467]),
    ("standard", "rnbq1k1r/pp1Pbppp/2p5/8/2B5/8/PPP1NnPP/RNBQK2R w KQ - 0 1", [44, 1486, 62379]),
    ("chess960", "r1k1r2q/p1ppp1pp/8/8/8/8/P1PPP1PP/R1K1R2Q w KQkq - 0 1", [23, 522, 12333]),
    ("chess960", "r1k2r1q/p1ppp1pp/8/8/8/8/P1PPP1PP/R1K2R1Q w KQkq - 0 1", [28, 738, 20218]),
    ("chess960", "8/8/8/4B2b/6nN/8/5P2/2R1K2k w Q - 0 1", [34, 318, 9002]),
    ("chess960", "2r5/8/8/8/8/8/6PP/k2KR3 w K - 0 1", [17, 242, 3931]),
    ("chess960", "bqnb1rkr/pp3ppp/3ppn2/2p5/5P2/P2P4/NPP1P1PP/BQ1BNRKR w HFhf - 2 9", [21, 528, 12189]),
    ("chess960", "qbbnnrkr/2pp2pp/p7/1p2pp2/8/P3PP2/1PPP1KPP/QBBNNR1R w hf - 0 9", [22, 593, 13440]),
    ("chess960", "bnqnrbkr/1pp2pp1/p7/3pP2p/4P1P1/8/PPPP3P/BNQNRBKR w HEhe d6 0 9", [31, 984, 28677]),
    ("atomic", "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1", [20, 400, 8902]),
    ("atomic", "rn2kb1r/1pp1p2p/p2q1pp1/3P4/2P3b1/4PN2/PP3PPP/R2QKB1R b KQkq - 0 1", [40, 1238]),
    ("atomic", "rn1qkb1r/p5pp/2p5/3p4/N3P3/5P2/PPP4P/R1BQK3 w Qkq - 0 1", [28, 833, 23353]),
    ("antichess", "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w - - 0 1", [20, 400, 8067, 153299]),
    ("antichess", "8/2p5/8/8/8/8/P7/8 w - - 0 1", [2, 4, 4, 4, 4, 4, 4, 4, 12, 36, 312, 2557, 30873]),
    ("crazyhouse", "2k5/8/8/8/8/8/8/4K3[QRBNPqrbnp] w - - 0 1", [301]),
    ("crazyhouse", "2k5/8/8/8/8/8/8/4K3[Qn] w - - 0 1", [67, 3083]),
    ("crazyhouse", "r1bqk2r/pppp1ppp/2n1p3/4P3/1b1Pn3/2NB1N2/PPP2PPP/R1BQK2R[] b KQkq - 0 1", [42, 1347, 58057]),
    ("crazyhouse", "4k3/1Q~6/8/8/4b3/8/Kpp5/8/ b - - 0 1", [20, 360, 5445]),
    ("horde", "rnbqkbnr/pppppppp/8/1PP2PP1/PPPPPPPP/PPPPPPPP/PPPPPPPP/PPPPPPPP w kq - 0 1", [8, 128, 1274, 23310]),
    ("horde", "4k3/pp4q1/3P2p1/8/P3PP2/PPP2r2/PPP5/PPPP4 b - - 0 1", [30, 241, 6633]),
    ("horde", "k7/5p2/4p2P/3p2P1/2p2P2/1p2P2P/p2P2P1/2P2P2 w - - 0 1", [13, 172, 2205]),
    ("racingKings", "8/8/8/8/8/8/krbnNBRK/qrbnNBRQ w - - 0 1", [21, 421, 11264]),
    ("threeCheck", "r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R w KQkq - 1+1 0 1", [48, 2039, 97848]),
    ("threeCheck", "r3k2r/8/8/8/8/8/8/R3K2R w KQkq - 1+1 0 1", [26, 562, 13410]),
]  # fmt: skip


def _perft(variant: str, packed: bytes, depth: int) -> int:
    """Count the paths of `depth` moves: offered by python-chess, judged and played by us."""
    scratch = scratch_of(variant)
    offered = [UCIS[move] for move in scratch.restore(packed).generate_legal_moves()]
    if depth == 1 and not scratch.variant.orthodox:
        return sum(scratch.find(uci) == uci for uci in offered)  # how the game ends costs too much
    judged = [judge(variant, packed, uci) for uci in offered]
    legal = [one[1] for uci, one in zip(offered, judged, strict=True) if one and one[0] == uci]
    return len(legal) if depth == 1 else sum(_perft(variant, pos, depth - 1) for pos in legal)


@pytest.mark.parametrize(("variant", "fen", "counts"), PUBLISHED)
def test_move_counts_are_the_published_ones(variant: str, fen: str, counts: list[int]) -> None:
    """From each published position, as many move sequences are accepted as the literature counts."""
    scratch = scratch_of(variant)
    start = scratch.load(new_board(variant, fen))
    assert [_perft(variant, start, depth) for depth in range(1, len(counts) + 1)] == counts


@pytest.mark.parametrize(("variant", "fen", "counts"), PUBLISHED)
def test_nothing_else_is_accepted(variant: str, fen: str, counts: list[int]) -> None:
    """Of all moves there are in UCI, just the published number is legal, each in one spelling."""
    start = scratch_of(variant).load(new_board(variant, fen))
    found = {one[0] for uci in MOVES if (one := judge(variant, start, uci))}
    assert len(found) == counts[0]
    kept = {one[0] for uci in found if (one := judge(variant, start, uci)) and one[0] == uci}
    assert kept == found
