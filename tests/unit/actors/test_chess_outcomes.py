"""Endings against python-chess's own, on random games of every variant to their end.

GAMESHARD_RANDOM_GAMES sets how many (2,000 if it isn't given).
"""

from __future__ import annotations

import os
import random

import chess
import pytest
from chess_table import ANN, BOB, Table, replayed, seated

import actors.chess as behaviour
from actors.chess.commands import ClaimDraw, PlayMove
from actors.chess.events import GameEnded
from actors.chess.variants import VARIANTS

GAMES = int(os.environ.get("GAMESHARD_RANDOM_GAMES", "2000"))
PLIES = 400

VARIANT_ENDS = {chess.Termination.VARIANT_WIN, chess.Termination.VARIANT_LOSS}

ENDGAMES = [
    "8/8/4k3/8/8/3K4/8/7R w - - 140 90",
    "8/8/4k3/8/8/3KP3/8/8 w - - 0 90",
    "8/5n2/4k3/8/8/3KB3/6p1/8 b - - 0 90",
    "k7/7P/8/1K6/8/8/p7/8 w - - 0 90",
    "8/8/3k1q2/8/8/3KQ3/8/8 w - - 120 120",
    "4k3/8/8/2Q5/8/8/8/4K3 w - - 148 100",
    "7k/8/5K2/8/8/8/8/6Q1 w - - 147 100",
]


def _starts(variant: str, count: int) -> list[tuple[str, str | None]]:
    if variant == "fromPosition":
        return [(variant, ENDGAMES[i % len(ENDGAMES)]) for i in range(count)]
    return [(variant, None)] * count


def _reference(table: Table) -> chess.Board:
    """Return python-chess's board of the table's start, with its own full stack."""
    state = table.state
    rules = VARIANTS[state.terms.variant]
    if state.terms.initial_fen is None:
        return rules.board(chess960=rules.chess960)
    return rules.board(state.terms.initial_fen, chess960=rules.chess960)


def _choose(board: chess.Board, rng: random.Random, timid: bool) -> chess.Move:
    """Choose at random, with a liking for what ends games; the timid like going back and forth."""
    moves = list(board.generate_legal_moves())
    if timid and len(board.move_stack) >= 2 and rng.random() < 0.9:
        last = board.move_stack[-2]
        back = chess.Move(last.to_square, last.from_square)
        if not last.drop and back in moves:
            return back
    if rng.random() < 0.4:
        moves = [move for move in moves if board.is_capture(move)] or moves
    return rng.choice(moves)


def _expected(outcome: chess.Outcome) -> tuple[str | None, str]:
    name = outcome.termination.name.lower()
    if outcome.termination in VARIANT_ENDS:
        name = "variant_win"
    winner = None if outcome.winner is None else "white" if outcome.winner else "black"
    return winner, name


def _check_claim(table: Table, board: chess.Board) -> None:
    """Compare what may be claimed with python-chess; an accepted claim would end the game."""
    expected = board.is_repetition(3) or board.is_fifty_moves()
    before = behaviour.pack(table.state)
    probe = Table()
    probe.state, probe.now = behaviour.unpack(before), table.now
    if expected:
        probe.do(ANN, ClaimDraw())
        assert probe.state.winner is None, board.fen()
    else:
        assert probe.refusal(ANN, ClaimDraw()) == "no_claim", board.fen()


def _play(variant: str, fen: str | None, seed: int) -> str:
    """Play one game in both programs; return how it ended."""
    rng = random.Random(seed)
    timid = rng.random() < 0.3
    table = seated(variant=variant, fen=fen, seed=rng.getrandbits(64))
    board = _reference(table)
    for _ in range(PLIES):
        move = _choose(board, rng, timid)
        uci = move.uci()
        board.push(move)
        events = table.do(ANN if not board.turn else BOB, PlayMove(uci=uci))
        assert events[0].uci == uci
        outcome = board.outcome()
        if outcome is not None:
            assert len(events) == 2, f"{board.fen()}: {outcome} not seen"
            assert isinstance(events[1], GameEnded)
            assert (events[1].winner, events[1].termination) == _expected(outcome)
            break
        assert len(events) == 1, f"{board.fen()}: {events} but the game goes on"
        if rng.random() < 0.03:
            _check_claim(table, board)
    _check_end(table, board)
    return table.state.termination or "unfinished"


def _check_end(table: Table, board: chess.Board) -> None:
    view = table.view()
    if table.state.status == "started":
        _check_claim(table, board)
    assert view["fen"] == board.fen()
    assert view["moves"] == [move.uci() for move in board.move_stack]
    assert behaviour.pack(replayed(table.records)) == behaviour.pack(table.state)


@pytest.mark.parametrize("variant", VARIANTS)
def test_games_end_when_and_how_python_chess_says(variant: str) -> None:
    """Random games end at the same move, with the same result and reason, as python-chess's outcome."""
    ends = {
        _play(name, fen, seed)
        for seed, (name, fen) in enumerate(_starts(variant, max(1, GAMES // len(VARIANTS))))
    }
    if GAMES >= 1000:
        assert ends & {"checkmate", "variant_win"}
        assert "fivefold_repetition" in ends
