"""Foreign PGN: what its headers leave out follows from the rules and the result."""

import io

import chess.pgn
import pytest

from bench.endings import closing, expected, played_as
from bench.scripts import BrokenGameError, Script, script_of

MATE = "1. f3 e5 2. g4 Qh4#"
KNIGHTS = " ".join(
    f"{n}. {'Nf3' if n % 2 else 'Ng1'} {'Nf6' if n % 2 else 'Ng8'}" for n in range(1, 5)
)


def script(moves: str, result: str, **headers: str) -> Script:
    lines = [f'[{name} "{value}"]' for name, value in (headers | {"Result": result}).items()]
    game = chess.pgn.read_game(io.StringIO("\n".join([*lines, "", f"{moves} {result}"])))
    assert game is not None
    return script_of(game, "test")


@pytest.mark.parametrize(
    ("moves", "result", "termination", "ending", "winner", "command", "stored"),
    [
        (MATE, "0-1", "Normal", "checkmate", "black", None, "checkmate"),
        ("1. e4 e5", "0-1", "Normal", "resignation", "black", ("resign", 0), "resignation"),
        ("1. e4 e5", "1-0", "Normal", "resignation", "white", ("resign", 1), "resignation"),
        ("1. e4 e5 2. d4", "1/2-1/2", "Normal", "agreement", None, ("draw", 1), "agreement"),
        ("1. e4 e5", "1-0", "Time forfeit", "timeout", "white", ("resign", 1), "resignation"),
        ("1. e4 e5", "1/2-1/2", "Time forfeit", "timeout", None, ("draw", 0), "agreement"),
        ("1. e4", "1-0", "Normal", "aborted", None, ("abort", 0), "aborted"),
        ("1. e4 e5 2. d4", "*", "Unterminated", "aborted", None, ("resign", 0), "aborted"),
        (
            KNIGHTS, "1/2-1/2", "Normal",
            "threefold_repetition", None, ("claim-draw", 0), "threefold_repetition",
        ),
    ],
)  # fmt: skip
def test_the_ending_of_a_foreign_game(
    moves: str,
    result: str,
    termination: str,
    ending: str,
    winner: str | None,
    command: tuple[str, int] | None,
    stored: str,
) -> None:
    """Rules first, then the file: how it ended, who ends its replay how, and what is then stored."""
    found = script(moves, result, Termination=termination, TimeControl="300+3")
    assert (found.ending, found.winner) == (ending, winner)
    assert closing(found, faithful=True) == command
    assert expected(found) == (winner, stored)


def test_a_short_clock_is_waited_for_and_a_long_one_is_not() -> None:
    """A flag that falls within seconds falls in the replay too; others are resigned, and it says so."""
    short = script("1. e4 e5", "0-1", Termination="Time forfeit", TimeControl="6+0")
    long = script("1. e4 e5", "0-1", Termination="Time forfeit", TimeControl="60+0")
    assert closing(short, faithful=True) is None
    assert expected(short) == ("black", "timeout")
    assert played_as(short) == "its clock runs out"
    assert closing(long, faithful=True) == ("resign", 0)
    assert expected(long) == ("black", "resignation")
    assert played_as(long) == "resigned (the file: time)"


def test_a_load_that_need_not_be_faithful_just_resigns() -> None:
    """In a mere load whoever moved first resigns, whatever the file says; mate stays mate."""
    assert closing(script("1. e4 e5", "1/2-1/2"), faithful=False) == ("resign", 0)
    assert closing(script(MATE, "0-1"), faithful=False) is None


def test_variants_and_positions_are_named_as_the_api_names_them() -> None:
    """Variant, start position and first mover are as POST /games wants them; castling too."""
    black = "4k3/8/8/8/8/8/8/4K2R b K - 0 1"
    found = script("1... Kd7 2. O-O", "*", FEN=black, SetUp="1")
    assert (found.variant, found.fen, found.first) == ("fromPosition", black, "black")
    assert found.moves == ("e8d7", "e1g1")
    chess960 = script(
        "1. O-O", "*", Variant="Chess960", FEN="4k3/8/8/8/8/8/8/4K2R w K - 0 1", SetUp="1"
    )
    assert (chess960.variant, chess960.moves) == ("chess960", ("e1h1",))
    assert script("1. e4", "*", Variant="King of the Hill").variant == "kingOfTheHill"
    assert script("1. e4", "*").fen is None


def test_an_illegal_move_names_its_game() -> None:
    """A game that can't be replayed is an error that says which."""
    with pytest.raises(BrokenGameError, match="test"):
        script("1. e5", "*")
