"""The page's own chess (`gateway/web/position.js`) in a real Chromium, held to python-chess."""

from __future__ import annotations

import random

import chess
import chess.variant
import pytest
from stage import stage

GAMES = 25
PLIES = 160
VARIANTS = {
    "standard": chess.Board,
    "chess960": chess.Board,
    "fromPosition": chess.Board,
    "kingOfTheHill": chess.variant.KingOfTheHillBoard,
    "threeCheck": chess.variant.ThreeCheckBoard,
    "antichess": chess.variant.AntichessBoard,
    "horde": chess.variant.HordeBoard,
    "racingKings": chess.variant.RacingKingsBoard,
}
NEAR_THE_END = (
    "k7/7P/8/1K6/8/8/p7/8 w - - 0 90",
    "r3k2r/8/8/8/8/8/8/R3K2R b KQkq - 0 1",
    "7k/8/5K2/8/8/8/8/R5QR w - - 0 100",
)
TELL = """async (games) => {
  const { tell } = await import("/web/position.js");
  return games.map((game) => {
    const { line, position } = tell(game);
    return { line, board: Object.fromEntries(position.at), white: position.white };
  });
}"""
HINTS = """async (positions) => {
  const { Position } = await import("/web/position.js");
  return positions.map(([fen, variant]) => {
    const position = new Position(fen, variant);
    const own = [...position.at].filter(([, sign]) => (sign < "a") === position.white);
    return own.flatMap(([from]) => position.targets(from).map((to) => from + to)).sort();
  });
}"""


@pytest.fixture
async def script(browser):
    """A function that runs JavaScript beside the page's files."""
    return (await stage(browser)).evaluate


def _start(variant: str, rng: random.Random) -> chess.Board:
    if variant == "chess960":
        return chess.Board.from_chess960_pos(rng.randrange(960))
    if variant == "fromPosition":
        return chess.Board(rng.choice(NEAR_THE_END))
    return VARIANTS[variant]()


def _told(board: chess.Board) -> dict[str, object]:
    """Return where all pieces stand and whose turn it is, as the page keeps it."""
    pieces = {chess.square_name(at): piece.symbol() for at, piece in board.piece_map().items()}
    return {"board": pieces, "white": board.turn}


def _played(variant: str, rng: random.Random) -> tuple[dict[str, object], dict[str, object]]:
    """Return a random game as the API tells it, and what the page should make of it."""
    board = _start(variant, rng)
    game: dict[str, object] = {"variant": variant, "initial_fen": board.fen(), "termination": None}
    moves, line = [], []
    for _ in range(PLIES):
        legal = list(board.legal_moves)
        forcing = [m for m in legal if board.gives_check(m) or board.is_castling(m)]
        move = rng.choice(forcing if forcing and rng.random() < 0.3 else legal)
        moves.append(move.uci())
        line.append(board.san_and_push(move))
        if (outcome := board.outcome()) is not None:
            won = outcome.winner is not None
            mate = outcome.termination is chess.Termination.CHECKMATE
            game["termination"] = "checkmate" if mate else "variant_win" if won else "stalemate"
            break
    return game | {"moves": moves}, _told(board) | {"line": line}


@pytest.mark.parametrize("variant", VARIANTS)
async def test_the_page_writes_moves_as_python_chess_does(script, variant) -> None:
    """Random games of every variant that the page follows are told in the same words, to the end."""
    rng = random.Random(variant)
    games = [_played(variant, rng) for _ in range(GAMES)]
    assert any(game["termination"] for game, _ in games)
    found = await script(TELL, [game for game, _ in games])
    for (game, expected), told in zip(games, found, strict=True):
        assert told == expected, game


def _legal(board: chess.Board) -> list[str]:
    """Return from and to of the legal moves, castling in both of its spellings."""
    hints = {move.uci()[:4] for move in board.legal_moves}
    for move in board.generate_castling_moves():
        home = chess.square_rank(move.from_square)
        rook = board.castling_rights & chess.BB_RANKS[home]
        short = board.is_kingside_castling(move)
        beyond = [at for at in chess.scan_forward(rook) if (at > move.from_square) == short]
        king = chess.square(6 if short else 2, home)
        hints.add(chess.Move(move.from_square, beyond[0]).uci())
        if abs(king - move.from_square) > 1:
            hints.add(chess.Move(move.from_square, king).uci())
    return sorted(hints)


@pytest.mark.parametrize("variant", ["standard", "chess960", "kingOfTheHill", "racingKings"])
async def test_the_page_hints_at_legal_moves(script, variant) -> None:
    """Where the page knows all the rules it offers the legal moves and no others."""
    rng = random.Random(variant)
    positions: list[tuple[str, list[str]]] = []
    for _ in range(GAMES):
        board = _start(variant, rng)
        for _ in range(60):
            positions.append((board.fen(), _legal(board)))
            castling = list(board.generate_castling_moves())
            board.push(rng.choice(castling or list(board.legal_moves)))
            if board.is_game_over():
                break
    assert variant == "racingKings" or any("e1g1" in hints for _, hints in positions)
    found = await script(HINTS, [(fen, variant) for fen, _ in positions])
    for (fen, expected), hinted in zip(positions, found, strict=True):
        assert sorted(set(hinted)) == expected, fen
