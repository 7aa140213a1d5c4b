"""Games to be replayed, as the generators need them: read from PGN, endings worked out.

An ending is said in the API's own words. A file of ours names it in the header "Ending"; for any
other file it follows from the rules, the result and the header "Termination".
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple, TextIO, cast

import chess
import chess.pgn

Side = Literal["white", "black"]

AUTOMATIC = {
    chess.Termination.CHECKMATE: "checkmate",
    chess.Termination.STALEMATE: "stalemate",
    chess.Termination.INSUFFICIENT_MATERIAL: "insufficient_material",
    chess.Termination.SEVENTYFIVE_MOVES: "seventyfive_moves",
    chess.Termination.FIVEFOLD_REPETITION: "fivefold_repetition",
    chess.Termination.VARIANT_WIN: "variant_win",
    chess.Termination.VARIANT_LOSS: "variant_win",
    chess.Termination.VARIANT_DRAW: "variant_draw",
}
"""python-chess's word for an end without anybody's doing -> the API's."""

_VARIANTS = {
    "crazyhouse": "crazyhouse",
    "antichess": "antichess",
    "atomic": "atomic",
    "horde": "horde",
    "kingofthehill": "kingOfTheHill",
    "racingkings": "racingKings",
    "3check": "threeCheck",
}
_RESULTS: dict[str, Side | None] = {"1-0": "white", "0-1": "black"}

GAMES = Path(__file__).parent / "games"
"""The corpus that is shipped: standard.pgn, endings.pgn, variants.pgn."""


class Script(NamedTuple):
    """One game to be replayed.

    Attributes:
        name: Where it comes from, for messages ("standard.pgn#17").
        variant: The API's key ("standard", "kingOfTheHill", ...).
        fen: Start position; None for the variant's usual one.
        first: Who moves first.
        moves: Every move as UCI, castling in Chess960 as king takes rook.
        winner: Who won; None for a draw or a game without result.
        ending: The API's word for how it ended.
        automatic: Whether the rules end the game with its last move, without anybody's doing.
        clock: Initial time and increment in seconds, as the file says; None if it says nothing.
    """

    name: str
    variant: str
    fen: str | None
    first: Side
    moves: tuple[str, ...]
    winner: Side | None
    ending: str
    automatic: bool
    clock: tuple[int, int] | None


class BrokenGameError(ValueError):
    """A game of a file that cannot be replayed: `name` says which one, `reason` why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


def outcome_of(board: chess.Board) -> tuple[str, Side | None] | None:
    """Return (ending, winner) if the rules end the game at `board` by themselves."""
    outcome = board.outcome(claim_draw=False)
    if outcome is None:
        return None
    return AUTOMATIC[outcome.termination], side(outcome.winner)


def side(color: chess.Color | None) -> Side | None:
    """Return python-chess's colour as the API's word."""
    return None if color is None else "white" if color else "black"


def read_scripts(path: Path) -> list[Script]:
    """Return every game of a PGN file; about 10 ms a game.

    Raises:
        BrokenGameError: If a game has an illegal move.
        OSError: If the file cannot be read.
    """
    with path.open(encoding="utf-8") as file:
        return [
            script_of(game, f"{path.name}#{number}") for number, game in enumerate(_games(file), 1)
        ]


def corpus() -> list[Script]:
    """Return the whole shipped corpus."""
    return [script for path in sorted(GAMES.glob("*.pgn")) for script in read_scripts(path)]


def standard() -> list[Script]:
    """Return the games of the shipped corpus that a load is made of: standard chess only."""
    return read_scripts(GAMES / "standard.pgn")


def _games(file: TextIO) -> Iterator[chess.pgn.Game]:
    while (game := chess.pgn.read_game(file)) is not None:
        yield game


def script_of(game: chess.pgn.Game, name: str) -> Script:
    """Return the script of one parsed game.

    Raises:
        BrokenGameError: If the parser met something that it could not read.
    """
    if game.errors:
        raise BrokenGameError(name, str(game.errors[0]))
    board = game.board()
    start, first = board.copy(stack=False), cast("Side", side(board.turn))
    moves: list[str] = []
    for move in game.mainline_moves():
        moves.append(board.uci(move))
        board.push(move)
    ended = outcome_of(board)
    ending, winner = ended or _by_somebody(game.headers, board)
    return Script(
        name,
        _variant(game.headers, start),
        _fen(start),
        first,
        tuple(moves),
        winner,
        game.headers.get("Ending", ending),
        ended is not None,
        _clock(game.headers.get("TimeControl", "")),
    )


def _variant(headers: chess.pgn.Headers, start: chess.Board) -> str:
    if start.uci_variant != "chess":
        return _VARIANTS[str(start.uci_variant)]
    if start.chess960 or headers.is_chess960():
        return "chess960"
    return "standard" if start.fen() == chess.STARTING_FEN else "fromPosition"


def _fen(start: chess.Board) -> str | None:
    if start.chess960:
        return start.fen(shredder=False)
    usual = type(start).starting_fen
    return None if start.fen() == type(start)(usual).fen() else start.fen()


def _clock(control: str) -> tuple[int, int] | None:
    initial, _, increment = control.partition("+")
    return (int(initial), int(increment)) if initial.isdigit() and increment.isdigit() else None


def _by_somebody(headers: chess.pgn.Headers, board: chess.Board) -> tuple[str, Side | None]:
    """Return how a game ended that the rules did not end, as far as its file tells."""
    result = headers.get("Result", "*")
    if result == "*" or board.ply() < 2:
        return "aborted", None
    if headers.get("Termination", "").lower() == "time forfeit":
        return "timeout", _RESULTS.get(result)
    if result in _RESULTS:
        return "resignation", _RESULTS[result]
    if board.is_repetition(3):
        return "threefold_repetition", None
    if board.is_fifty_moves():
        return "fifty_moves", None
    return "agreement", None
