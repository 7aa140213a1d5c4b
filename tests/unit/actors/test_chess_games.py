"""Real games, replayed to the result that their file gives.

GAMESHARD_PGN names another file; else the shipped corpus is played as well, if it's there.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import chess.pgn
import pytest
from chess_table import ANN, BOB, Table, clock, replayed, seated

import actors.chess as behaviour
from actors.behaviour import Deadline, Rejected
from actors.chess.clock import next_deadline
from actors.chess.commands import ClaimDraw, Draw, PlayMove, Resign
from actors.chess.variants import VARIANTS

HERE = Path(__file__).parent
CORPUS = HERE.parents[2] / "bench" / "games"


def _files() -> list[Path]:
    if named := os.environ.get("GAMESHARD_PGN"):
        return [Path(named)]
    return [HERE / "data" / "lichess20.pgn", *sorted(CORPUS.glob("*.pgn"))]


def _games(path: Path) -> Iterator[chess.pgn.Game]:
    text = io.StringIO(path.read_text())
    while (game := chess.pgn.read_game(text)) is not None:
        yield game


def _seat(game: chess.pgn.Game) -> Table:
    """Seat two players at the file's game, with time enough for all of it."""
    name = game.headers.get("Variant", "Standard").lower()
    variant = next(v.name for v in VARIANTS.values() if v.title.lower() == name)
    fen = game.headers.get("FEN")
    if fen is not None and variant == "standard":
        variant = "fromPosition"
    return seated(variant=variant, fen=fen, clock=clock(10_800, 0))


def _conclude(table: Table, game: chess.pgn.Game) -> None:
    """End a game that the board didn't end, as its file says it ended."""
    result = game.headers["Result"]
    if game.headers.get("Termination") == "Time forfeit":
        table.now = next_deadline(table.state) or 0
        table.do(None, Deadline())
    elif result == "1/2-1/2":
        try:
            table.do(ANN, ClaimDraw())
        except Rejected:
            table.do(ANN, Draw())
            table.do(BOB, Draw())
    else:
        table.do(BOB if result == "1-0" else ANN, Resign())


@pytest.mark.parametrize("path", _files(), ids=lambda path: path.name)
def test_games_end_as_their_file_says(path: Path) -> None:
    """Every game's moves are accepted, and its result and position are the file's."""
    played = 0
    for game in _games(path):
        if not game.board().is_valid():
            with pytest.raises(Rejected, match="bad_position"):
                _seat(game)
            continue
        table = _seat(game)
        for move in game.mainline_moves():
            assert table.state.status == "started", game.headers
            table.now += 1
            table.do(table.mover, PlayMove(uci=move.uci()))
        if game.headers["Result"] == "*":
            continue
        if table.state.status == "started" and len(table.state.moves) >= 4:
            _conclude(table, game)
            _compare(table, game)
        elif table.state.status == "ended":
            _compare(table, game)
        played += 1
    assert played


def _compare(table: Table, game: chess.pgn.Game) -> None:
    view = table.view(san=True)
    results = {"white": "1-0", "black": "0-1", None: "1/2-1/2"}
    assert results[view["winner"]] == game.headers["Result"], game.headers
    assert view["fen"] == game.end().board().fen()
    assert view["san"] == [node.san() for node in game.mainline()]
    assert behaviour.pack(replayed(table.records)) == behaviour.pack(table.state)
