"""Weighted self-play: moves drawn by a small evaluation, steered towards a wanted ending.

It plays no good chess and need not. It must give games of a likely length and sort of move, of
every ending, the same ones for the same seed: no clock, no hash order, no engine.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import chess

VALUES = (0.0, 1.0, 3.0, 3.2, 5.0, 9.0, 20.0)
"""Pawns a piece is worth, by python-chess's piece type."""

Choose = Callable[[chess.Board, list[chess.Move], Random], chess.Move]


@dataclass(frozen=True)
class Player:
    """How one side draws its moves.

    Attributes:
        temperature: In pawns: the higher, the more blunders.
        greed: Factor on what captures are worth: above 1 it seeks exchanges.
        march: Pawns that each step of the king towards `goal` is worth.
        goal: Distance of a square from where the king wants to be (king of the hill, a race).
    """

    temperature: float = 0.6
    greed: float = 1.0
    march: float = 0.0
    goal: Callable[[chess.Square], float] = lambda _: 0.0


def to_the_centre(square: chess.Square) -> float:
    """Return the steps from `square` to the four squares in the middle."""
    return min(chess.square_distance(square, middle) for middle in (27, 28, 35, 36))


def to_the_top(square: chess.Square) -> float:
    """Return the ranks from `square` to the eighth."""
    return 7 - chess.square_rank(square)


def draw(board: chess.Board, moves: list[chess.Move], player: Player, random: Random) -> chess.Move:
    """Draw one of `moves` with weights exp(worth / temperature)."""
    worths = [worth(board, move, player) for move in moves]
    best = max(worths)
    weights = [math.exp((each - best) / player.temperature) for each in worths]
    return random.choices(moves, weights)[0]


def worth(board: chess.Board, move: chess.Move, player: Player) -> float:
    """Return what `move` seems to gain, in pawns, from a look at its two squares only."""
    mover = board.piece_type_at(move.from_square) if move.drop is None else move.drop
    own = VALUES[mover or 0]
    gain = player.greed * VALUES[board.piece_type_at(move.to_square) or 0]
    if move.promotion:
        gain += VALUES[move.promotion] - 1
    gain -= _risk(board, move.to_square, own, move.from_square)
    if move.drop is None:
        gain += 0.7 * _risk(board, move.from_square, own, move.to_square)
    gain += 0.06 * (to_the_centre(move.from_square) - to_the_centre(move.to_square))
    if board.fullmove_number < 12 and mover in (chess.KNIGHT, chess.BISHOP):
        gain += 0.3 if chess.square_rank(move.from_square) in (0, 7) else -0.1
    if mover == chess.KING:
        gain += 1.0 if board.is_castling(move) else -0.3
        gain += player.march * (player.goal(move.from_square) - player.goal(move.to_square))
    if mover == chess.PAWN and len(board.piece_map()) < 16:
        gain += 0.4
    if board.gives_check(move):
        gain += 0.4
    return gain


def _risk(board: chess.Board, square: chess.Square, own: float, other: chess.Square) -> float:
    """Return what a piece worth `own` would lose on `square`; the one on `other` is not counted."""
    attackers = board.attackers(not board.turn, square)
    if not attackers:
        return 0.0
    cheapest = min(VALUES[board.piece_type_at(each) or 0] for each in attackers)
    guards = len(board.attackers(board.turn, square)) - (1 if other != square else 0)
    return own if guards <= 0 else max(0.0, own - cheapest)


def quiet(board: chess.Board, moves: list[chess.Move]) -> list[chess.Move]:
    """Return those of `moves` that can be taken back: no capture, pawn move, drop or castling."""
    return [
        move
        for move in moves
        if move.drop is None and not board.is_zeroing(move) and not board.is_castling(move)
    ]


def shuffle(board: chess.Board, moves: list[chess.Move], random: Random) -> chess.Move:
    """Go back where one came from, so that positions repeat."""
    stack = board.move_stack
    if len(stack) >= 2:
        back = chess.Move(stack[-2].to_square, stack[-2].from_square)
        if back in moves and not board.is_zeroing(back):
            return back
    calm = [move for move in quiet(board, moves) if not board.gives_check(move)]
    return random.choice(calm or quiet(board, moves) or moves)


class Wander:
    """Moves that can be taken back and never repeat a position a third time."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def __call__(self, board: chess.Board, moves: list[chess.Move], random: Random) -> chess.Move:
        """Draw such a move; any other one if there is none."""
        candidates = [move for move in quiet(board, moves) if not board.gives_check(move)]
        random.shuffle(candidates)
        for move in candidates:
            board.push(move)
            position = board.epd()
            ended = board.is_game_over()
            board.pop()
            if self._seen[position] < 2 and not ended:
                self._seen[position] += 1
                return move
        return random.choice(moves)


def finishing(
    board: chess.Board, moves: list[chess.Move], wanted: Callable[[chess.Board], bool]
) -> chess.Move | None:
    """Return the first of `moves` after which `wanted` holds, if there is one."""
    for move in moves:
        board.push(move)
        holds = wanted(board)
        board.pop()
        if holds:
            return move
    return None


def balance(board: chess.Board) -> float:
    """Return White's material minus Black's, in pawns."""
    return sum(
        VALUES[piece.piece_type] * (1 if piece.color else -1)
        for piece in board.piece_map().values()
    )
