"""A position as FEN: what python-chess writes, in a third of its time.

Every beginning of a subscription shows one.
"""

from __future__ import annotations

import chess

from actors.chess.position import Scratch

_RUNS = tuple(("1" * length, str(length)) for length in range(8, 1, -1))


def fen_of(scratch: Scratch) -> str:
    """Return the position that a scratch board stands at, as `chess.Board.fen` would.

    It may rely on the position being a packed one: its en passant square is there only where the
    capture is legal.
    """
    board, variant = scratch.board, scratch.variant
    if variant.pockets or variant.checks:  # they write more than the squares
        return board.fen()
    turn = "w" if board.turn else "b"
    ep = "-" if board.ep_square is None else chess.SQUARE_NAMES[board.ep_square]
    castling = board.castling_xfen() if board.castling_rights else "-"
    counters = f"{board.halfmove_clock} {board.fullmove_number}"
    return f"{_squares(board)} {turn} {castling} {ep} {counters}"


def _squares(board: chess.Board) -> str:
    cells = ["1"] * 64
    white, black = board.occupied_co[chess.WHITE], board.occupied_co[chess.BLACK]
    for pieces, symbol in (
        (board.pawns, "p"),
        (board.knights, "n"),
        (board.bishops, "b"),
        (board.rooks, "r"),
        (board.queens, "q"),
        (board.kings, "k"),
    ):
        _put(cells, pieces & white, symbol.upper())
        _put(cells, pieces & black, symbol)
    text = "/".join("".join(cells[rank : rank + 8]) for rank in range(56, -1, -8))
    for ones, length in _RUNS:
        text = text.replace(ones, length)
    return text


def _put(cells: list[str], squares: int, symbol: str) -> None:
    while squares:
        last = squares.bit_length() - 1
        cells[last] = symbol
        squares ^= 1 << last
