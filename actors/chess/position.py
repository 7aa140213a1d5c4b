"""A position as bytes, and the one board per variant on which positions come to life.

A game keeps no `chess.Board` (each would cost kilobytes): it keeps 70 bytes, from which a shared
board is set up in about a microsecond. Boards are shared within a thread, never between threads,
and never across two calls of the behaviour.

Layout (little-endian): pawns, knights, bishops, rooks, queens, white, black, castling rights
(u64 each; kings are what's left), turn (u8, 1 is white), the variant's own (crazyhouse: promoted
pieces u64 and ten pocket counts; three-check: the checks left to white and black), en passant
square (u8, 0 is none), half-move clock (u16), move number (u16).

The en passant square stands only where the capture is legal. So everything before the two
counters is what python-chess compares for repetitions, and its hash is the position's key.
"""

# ruff: noqa: SLF001  (the stacks that python-chess grows by 400 bytes a ply have no public handle;
# its version is pinned, and tests/unit/actors holds every one of these uses to its public results)

from __future__ import annotations

import threading
from functools import lru_cache
from hashlib import blake2b
from struct import Struct as Format
from typing import cast

import chess
import chess.variant

from actors.chess.moves import MOVES, UCIS
from actors.chess.variants import VARIANTS, Variant

KEY_SIZE = 8
_COUNTERS_SIZE = 4
_POCKET = range(chess.PAWN, chess.KING)
_C_FILE, _G_FILE = 2, 6


class Scratch:
    """One variant's board, set up for one position after another."""

    def __init__(self, variant: Variant) -> None:
        self.variant = variant
        self.board = variant.board(chess960=variant.chess960)
        extras = "Q10B" if variant.pockets else "2B" if variant.checks else ""
        self._format = Format(f"<8QB{extras}BHH")
        self.size = self._format.size
        # A board with a stack takes its castling rights as they are, which is right for ours and
        # saves 1 us a move; the bottom of the stack is never popped.
        self.board.push(chess.Move.null())
        self.board.move_stack.clear()
        self._bottom = self.board._stack[:]

    def restore(self, packed: bytes) -> chess.Board:
        """Set the board to the position that `packed` begins with, and return it."""
        board = self.board
        fields = self._format.unpack_from(packed)
        pawns, knights, bishops, rooks, queens, white, black, castling, turn = fields[:9]
        occupied = white | black
        board.pawns = pawns
        board.knights = knights
        board.bishops = bishops
        board.rooks = rooks
        board.queens = queens
        board.kings = occupied ^ (pawns | knights | bishops | rooks | queens)
        board.occupied_co[True] = white
        board.occupied_co[False] = black
        board.occupied = occupied
        board.castling_rights = castling
        board.turn = turn == 1
        ep, board.halfmove_clock, board.fullmove_number = fields[-3:]
        board.ep_square = ep or None
        board.promoted = 0
        if self.variant.pockets or self.variant.checks:
            self._restore_extras(fields[9:-3])
        return board

    def _restore_extras(self, extras: tuple[int, ...]) -> None:
        board = self.board
        if isinstance(board, chess.variant.CrazyhouseBoard):
            board.promoted = extras[0]
            # A new list: the one before may live on in python-chess's stack.
            board.pockets[chess.WHITE]._pieces = [-1, *extras[1:6], 0]
            board.pockets[chess.BLACK]._pieces = [-1, *extras[6:11], 0]
        elif isinstance(board, chess.variant.ThreeCheckBoard):
            board.remaining_checks[chess.WHITE], board.remaining_checks[chess.BLACK] = extras

    def pack(self) -> bytes:
        """Return the board's position as bytes."""
        board = self.board
        white, black = board.occupied_co[True], board.occupied_co[False]
        return self._format.pack(
            board.pawns,
            board.knights,
            board.bishops,
            board.rooks,
            board.queens,
            white,
            black,
            board.castling_rights,
            board.turn,
            *(self._extras() if self.variant.pockets or self.variant.checks else ()),
            board.ep_square or 0,
            board.halfmove_clock,
            board.fullmove_number,
        )

    def _extras(self) -> tuple[int, ...]:
        board = self.board
        if isinstance(board, chess.variant.CrazyhouseBoard):
            white, black = board.pockets[chess.WHITE], board.pockets[chess.BLACK]
            return (board.promoted, *map(white.count, _POCKET), *map(black.count, _POCKET))
        three = cast("chess.variant.ThreeCheckBoard", board)
        return tuple(max(three.remaining_checks[color], 0) for color in (True, False))

    def find(self, uci: str) -> str | None:
        """Return the legal move that `uci` means here, in its one spelling, or None.

        Castling is understood as e1g1 and as e1h1, and is returned in the variant's one form:
        e1g1, or king takes rook in Chess960. There the king's own two squares count as well,
        wherever it and the rook begin, unless it's a king's plain step (f1g1).
        """
        move = MOVES.get(uci)
        if move is None:
            return None
        board = self.board
        if board.kings >> move.from_square & 1:
            if board.chess960:
                move = self._taking_the_rook(move)
            else:
                move = board._to_chess960(move)
                move = board._from_chess960(
                    False, move.from_square, move.to_square, move.promotion, move.drop
                )
            uci = UCIS[move]
        return uci if board.is_legal(move) else None

    def _taking_the_rook(self, move: chess.Move) -> chess.Move:
        """Return castling that is said by where the king goes (c or g) as king takes rook."""
        start, to = move.from_square, move.to_square
        short = chess.square_file(to) == _G_FILE
        if not short and chess.square_file(to) != _C_FILE:
            return move
        if abs(start - to) < 2 or chess.square_rank(start) != chess.square_rank(to):
            return move
        rank = chess.BB_RANKS[chess.square_rank(start)]
        for rook in chess.scan_forward(self.board.castling_rights & rank):
            if (rook > start) == short:
                return chess.Move(start, rook)
        return move

    def advance(self, move: chess.Move, packed: bytes) -> bytes:
        """Play `move` and return the position behind it, with its repetition keys.

        Args:
            move: A legal move on the board as it stands.
            packed: What the board was restored from: the position, then the keys of all positions
                since the last move that can't be undone, its own included.
        """
        board, variant = self.board, self.variant
        castling = board.castling_rights
        board.push(move)
        board.move_stack.clear()
        board._stack[:] = self._bottom
        if isinstance(board, chess.variant.CrazyhouseBoard):
            board._crazyhouse_stack.clear()
        elif isinstance(board, chess.variant.ThreeCheckBoard):
            board._three_check_stack.clear()
        if board.ep_square is not None and not self._can_capture_en_passant():
            board.ep_square = None
        position = self.pack()
        key = key_of(position)
        final = board.castling_rights != castling or not (board.halfmove_clock or variant.pockets)
        return position + key if final else position + packed[self.size :] + key

    def _can_capture_en_passant(self) -> bool:
        board = self.board
        return any(board.is_legal(move) for move in list(board.generate_pseudo_legal_ep()))

    def load(self, board: chess.Board) -> bytes:
        """Take over the position of another board; return it with its first key."""
        scratch = self.board
        chess._BoardState(board).restore(scratch)
        if isinstance(scratch, chess.variant.CrazyhouseBoard):
            zh = cast("chess.variant.CrazyhouseBoard", board)
            scratch.pockets = [pocket.copy() for pocket in zh.pockets]
        elif isinstance(scratch, chess.variant.ThreeCheckBoard):
            three = cast("chess.variant.ThreeCheckBoard", board)
            scratch.remaining_checks = three.remaining_checks.copy()
        if not self.variant.pockets:
            scratch.promoted = 0
        if scratch.ep_square is not None and not self._can_capture_en_passant():
            scratch.ep_square = None
        position = self.pack()
        return position + key_of(position)


def key_of(position: bytes) -> bytes:
    """Return the 8 bytes that equal positions share, in every process and for ever."""
    return blake2b(position[:-_COUNTERS_SIZE], digest_size=KEY_SIZE).digest()


class _Scratches(threading.local):
    def __init__(self) -> None:
        self.by_name: dict[str, Scratch] = {}


_scratches = _Scratches()


def scratch_of(variant: str) -> Scratch:
    """Return this thread's board for a variant."""
    found = _scratches.by_name.get(variant)
    if found is None:
        found = _scratches.by_name[variant] = Scratch(VARIANTS[variant])
    return found


def new_board(variant: str, fen: str | None) -> chess.Board:
    """Return a fresh board at the start of a game.

    Raises:
        ValueError: If `fen` isn't one.
    """
    rules = VARIANTS[variant]
    board = rules.board(chess960=rules.chess960)
    if fen is not None:
        board.set_fen(fen)
    return board


@lru_cache(maxsize=1024)
def start_of(variant: str, fen: str | None) -> bytes:
    """Return the packed position, with its key, in which a game begins."""
    return scratch_of(variant).load(new_board(variant, fen))
