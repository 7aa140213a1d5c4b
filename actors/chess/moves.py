"""Every move that chess knows, in its three spellings: UCI, python-chess, two bytes.

The two bytes (little-endian) hold from (6 bits), to (6 bits), the promoted or dropped piece
(3 bits, python-chess's numbers) and whether it's a drop (1 bit; from and to are then the same).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import chess

CODE_SIZE = 2


def _promotions() -> Iterator[chess.Move]:
    for rank, last in ((6, 7), (1, 0)):
        for file in range(8):
            for target in range(max(0, file - 1), min(7, file + 1) + 1):
                for piece in range(chess.KNIGHT, chess.KING + 1):  # antichess promotes to king
                    yield chess.Move(chess.square(file, rank), chess.square(target, last), piece)


def _all() -> Iterator[chess.Move]:
    for start in chess.SQUARES:
        yield from (chess.Move(start, to) for to in chess.SQUARES if to != start)
    yield from _promotions()
    for square in chess.SQUARES:
        for piece in range(chess.PAWN, chess.KING):
            yield chess.Move(square, square, drop=piece)


def _word(move: chess.Move) -> int:
    piece = move.drop or move.promotion or 0
    return move.from_square | move.to_square << 6 | piece << 12 | bool(move.drop) << 15


MOVES: dict[str, chess.Move] = {move.uci(): move for move in _all()}
"""UCI -> move: one shared object each. The null move isn't among them."""

CODES: dict[str, bytes] = {uci: struct.pack("<H", _word(move)) for uci, move in MOVES.items()}
"""UCI -> its two bytes."""

UCIS: dict[chess.Move, str] = {move: uci for uci, move in MOVES.items()}
"""Move -> UCI."""

_WORDS: dict[int, str] = {_word(move): uci for uci, move in MOVES.items()}


def ucis(codes: bytes) -> Sequence[str]:
    """Return the moves of `codes` in UCI."""
    words = _WORDS
    return [words[word] for word in struct.unpack(f"<{len(codes) // CODE_SIZE}H", codes)]


def uci_at(codes: bytes, ply: int) -> str:
    """Return the move at `ply`, in UCI."""
    at = ply * CODE_SIZE
    return _WORDS[codes[at] | codes[at + 1] << 8]
