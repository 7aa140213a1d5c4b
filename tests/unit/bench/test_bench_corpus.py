"""The shipped games: legal, complete, ended as they say, and made again from their seed."""

from collections import Counter
from statistics import median

import chess
import chess.pgn
import pytest

from bench.corpus import FILES, FLAG_SECONDS, make, text
from bench.endings import LONGEST_FLAG
from bench.scripts import GAMES, Script, corpus, outcome_of, read_scripts

ENDINGS = {
    "checkmate", "stalemate", "insufficient_material", "threefold_repetition",
    "fivefold_repetition", "fifty_moves", "seventyfive_moves", "resignation", "agreement",
    "timeout", "aborted", "variant_win", "variant_draw",
}  # fmt: skip
VARIANTS = {
    "standard", "chess960", "crazyhouse", "antichess", "atomic", "horde", "kingOfTheHill",
    "racingKings", "threeCheck", "fromPosition",
}  # fmt: skip


@pytest.fixture(scope="module")
def scripts() -> list[Script]:
    return corpus()


def raw(file: str) -> list[chess.pgn.Game]:
    with (GAMES / f"{file}.pgn").open() as lines:
        return list(iter(lambda: chess.pgn.read_game(lines), None))


def test_every_ending_and_every_variant_is_there(scripts: list[Script]) -> None:
    """At least 300 games hold every way a game can end and some of each variant."""
    assert len(scripts) >= 300
    assert {script.ending for script in scripts} == ENDINGS
    variants = Counter(script.variant for script in scripts)
    assert set(variants) == VARIANTS
    assert min(variants.values()) >= 10


def test_the_corpus_is_small() -> None:
    """All files together take less than a megabyte."""
    assert sum(path.stat().st_size for path in GAMES.glob("*.pgn")) < 1_000_000


def test_a_load_has_games_of_a_usual_length() -> None:
    """The standard games' median is 60 to 85 plies, and they spread."""
    lengths = sorted(len(script.moves) for script in read_scripts(GAMES / "standard.pgn"))
    assert 60 <= median(lengths) <= 85
    assert lengths[len(lengths) // 10] < 45
    assert lengths[-len(lengths) // 10] > 110


@pytest.mark.parametrize("file", sorted(FILES))
def test_every_game_is_legal_and_ends_as_its_header_says(file: str) -> None:
    """python-chess replays each game from a valid position, and agrees with its Ending and Result, or allows them."""
    for game in raw(file):
        where, board = game.headers["Round"], game.board()
        assert board.is_valid(), where
        for move in game.mainline_moves():
            assert outcome_of(board) is None, f"{where} goes on after its end"
            assert board.is_legal(move), where
            board.push(move)
        ending, result = game.headers["Ending"], game.headers["Result"]
        ended = outcome_of(board)
        if ended is not None:
            assert ended == (ending, {"1-0": "white", "0-1": "black"}.get(result)), where
        else:
            assert holds(ending, result, board), where


def holds(ending: str, result: str, board: chess.Board) -> bool:
    """Whether players may end the game at `board` like that."""
    if ending == "aborted":
        return result == "*" and len(board.move_stack) < 2
    if ending == "timeout":
        can_win = not board.has_insufficient_material(not board.turn)
        return result == (("0-1" if board.turn else "1-0") if can_win else "1/2-1/2")
    if ending == "resignation":
        return result in ("1-0", "0-1")
    claims = {
        "threefold_repetition": board.is_repetition(3),
        "fifty_moves": board.is_fifty_moves(),
        "agreement": len(board.move_stack) >= 2,
    }
    return claims.get(ending, False) and result == "1/2-1/2"


def test_scripts_say_what_the_files_say(scripts: list[Script]) -> None:
    """A script's winner and ending are its file's, and what the rules end is marked so."""
    games = [game for path in sorted(GAMES.glob("*.pgn")) for game in raw(path.stem)]
    for script, game in zip(scripts, games, strict=True):
        assert script.ending == game.headers["Ending"]
        assert script.winner == {"1-0": "white", "0-1": "black"}.get(game.headers["Result"])
        assert script.automatic == (outcome_of(game.end().board()) is not None)


def test_flags_fall_soon_enough_to_be_waited_for(scripts: list[Script]) -> None:
    """Games that end by the clock have one that a replay waits for."""
    clocks = {script.clock for script in scripts if script.ending == "timeout"}
    assert clocks == {(FLAG_SECONDS, 0)}
    assert FLAG_SECONDS <= LONGEST_FLAG


@pytest.mark.parametrize(
    ("file", "number"),
    [("standard", 1), ("standard", 4), ("endings", 7), ("endings", 52), ("variants", 1),
     ("variants", 33), ("variants", 71)],
)  # fmt: skip
def test_a_game_is_made_again_from_its_seed(file: str, number: int) -> None:
    """Made anew from seed, file and number, a game is the shipped one, byte for byte."""
    plan = list(FILES[file]())[number - 1]
    shipped = (GAMES / f"{file}.pgn").read_text().split("\n\n[Event")
    again = text(make(file, number, plan))
    assert again.strip() == ("" if number == 1 else "[Event") + shipped[number - 1].strip("\n")


def test_another_seed_gives_another_game() -> None:
    """The seed decides."""
    plan = next(iter(FILES["standard"]()))
    assert text(make("standard", 1, plan, seed=2)) != text(make("standard", 1, plan, seed=1))
