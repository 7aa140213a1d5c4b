"""Makes the shipped corpus: `python -m bench.corpus --seed 1 --out bench/games`.

Every game has a number of its own in its file and is drawn from (seed, file, number) alone, so
one game can be made again without the others. A try that misses its ending is thrown away.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import chess
import chess.pgn
import chess.variant

from bench.scripts import GAMES, Side, outcome_of, side
from bench.selfplay import (
    Choose,
    Player,
    Wander,
    balance,
    draw,
    finishing,
    shuffle,
    to_the_centre,
    to_the_top,
)

SEED = 1
FLAG_SECONDS = 6
"""Initial time of the games that end by the clock: short, so that a replay can wait for it."""
_TRIES = 400
_TERMINATIONS = {"timeout": "Time forfeit", "aborted": "Unterminated"}
_RESULTS: dict[Side | None, str] = {"white": "1-0", "black": "0-1", None: "1/2-1/2"}


_PLAIN = Player()


@dataclass(frozen=True)
class Plan:
    """What one game shall be.

    Attributes:
        ending: The API's word for how it ends; "any" takes whatever the rules give.
        variant: python-chess's name of the variant; "960" for Chess960.
        fen: Start position, "" for the usual one.
        turn: From which ply on the players steer towards the ending (or end the game).
        limit: A try that is longer than this many plies is thrown away.
        white, black: How the sides play.
    """

    ending: str
    variant: str = "chess"
    fen: str = ""
    turn: int = 0
    limit: int = 220
    white: Player = _PLAIN
    black: Player = _PLAIN


_GOOD, _WEAK = Player(0.25), Player(2.5)
_TRADER = Player(0.5, greed=2.5)
_ENDGAMES = (
    "8/8/4k3/8/3K4/4P3/8/8 w - - 0 1",
    "8/5k2/8/3n4/8/3K1P2/8/8 w - - 0 1",
    "8/5b2/3k4/8/8/2KP4/8/8 b - - 0 1",
    "8/2k5/3p4/8/4K3/8/8/6N1 w - - 0 1",
)
_MATES = (
    "8/8/4k3/8/8/8/8/Q3K2R w - - 0 1",
    "4k3/8/8/8/8/8/8/R3K2R w KQ - 0 1",
    "r1bqkbnr/pppp1ppp/2n5/4p3/2B1P3/5Q2/PPPP1PPP/RNB1K1NR w KQkq - 4 3",
    "8/1p3k2/6p1/3q4/8/1P4P1/2Q2PK1/8 w - - 0 30",
)
_BARE = ("8/8/4k3/8/8/3QK3/8/8 b - - 0 1", "8/2r1k3/8/8/8/4K3/8/8 w - - 0 1")
"""One side cannot mate: if the other one's flag falls, it's a draw."""
_HILL, _RACE = Player(0.8, march=0.5, goal=to_the_centre), Player(0.6, march=0.6, goal=to_the_top)


def _uneven(random: Random, plan: Plan) -> Plan:
    strong = random.random() < 0.5
    return replace(
        plan, white=_GOOD if strong else Player(1.2), black=Player(1.2) if strong else _GOOD
    )


def _standard() -> Iterator[Plan]:
    """A load's games: mostly mate, resignation and time, as on a busy server."""
    random = Random("standard")
    for number in range(240):
        turn = min(190, max(16, round(72 * math.exp(random.gauss(0, 0.38)))))
        if number % 8 in (0, 2, 4):
            yield _uneven(random, Plan("checkmate", limit=max(60, turn + 40)))
        elif number % 8 in (1, 3, 6):
            yield Plan("resignation", turn=turn)
        elif number % 8 == 5:
            yield Plan("agreement", turn=turn)
        else:
            yield Plan("timeout", turn=turn)


def _endings() -> Iterator[Plan]:
    """Every way a game of standard rules can end, from the usual start and from positions."""
    random = Random("endings")
    for number in range(8):
        yield _uneven(random, Plan("stalemate", turn=30, limit=260))
        yield Plan("stalemate", fen=_ENDGAMES[0], limit=120)
        yield Plan("threefold_repetition", turn=random.randrange(10, 60))
        yield Plan("fivefold_repetition", turn=random.randrange(10, 60))
        yield Plan("insufficient_material", fen=_ENDGAMES[number % 4], white=_TRADER, black=_TRADER)
        yield Plan("checkmate", fen=_MATES[number % 4], white=_GOOD, black=_WEAK)
    for number in range(4):
        yield Plan("insufficient_material", limit=300, white=_TRADER, black=_TRADER)
        yield Plan("fifty_moves", turn=random.randrange(20, 50), limit=260)
        yield Plan("seventyfive_moves", turn=random.randrange(20, 50), limit=320)
        yield Plan("timeout", fen=_BARE[number % 2], turn=4 + number)
        yield Plan("timeout", fen=_MATES[number], turn=5, black=_WEAK)
    yield Plan("aborted", turn=0)
    yield Plan("aborted", turn=1)


def _variants() -> Iterator[Plan]:
    """Ten of each variant, of which the rules end most; the rest is resigned or agreed."""
    sides: tuple[tuple[str, Player, Player, int], ...] = (
        ("crazyhouse", Player(0.4), Player(1.5), 240),
        ("atomic", Player(1.5), Player(1.5), 200),
        ("antichess", Player(5.0), Player(5.0), 260),
        ("horde", Player(2.0), _GOOD, 320),
        ("kingofthehill", _HILL, _HILL, 240),
        ("racingkings", _RACE, _RACE, 200),
        ("3check", Player(0.5), Player(0.8), 200),
        ("960", _GOOD, Player(1.2), 200),
    )
    for variant, white, black, limit in sides:
        for number in range(10):
            near = Plan("any", variant, limit=limit, white=white, black=black)
            if number == 8:
                yield replace(near, ending="resignation", turn=40)
            elif number == 9:
                yield replace(near, ending="agreement", turn=24)
            elif number % 2 and variant in ("horde", "960", "crazyhouse"):
                yield replace(near, white=black, black=white)
            else:
                yield near
    for _ in range(2):
        yield Plan("variant_draw", "racingkings", white=_RACE, black=_RACE)


FILES = {"standard": _standard, "endings": _endings, "variants": _variants}


def make(file: str, number: int, plan: Plan, seed: int = SEED) -> chess.pgn.Game:
    """Return game `number` (from 1) of `file`, always the same for the same arguments.

    Raises:
        RuntimeError: If no try reaches the ending of the plan.
    """
    for attempt in range(_TRIES):
        random = Random(f"{seed}/{file}/{number}/{attempt}")
        board = _start(plan, random)
        first = board.fen(shredder=False)
        if (ended := _play(plan, board, random)) is not None:
            return _written(plan, board, first, ended, f"{file} {number}")
    raise RuntimeError(f"{file} {number}: no try ended by {plan.ending}")


def _start(plan: Plan, random: Random) -> chess.Board:
    if plan.variant == "960":
        return chess.Board.from_chess960_pos(random.randrange(960))
    kind = chess.variant.find_variant(plan.variant)
    return kind(plan.fen) if plan.fen else kind()


def _play(plan: Plan, board: chess.Board, random: Random) -> tuple[str, Side | None] | None:
    """Play a whole game on `board`; return (ending, winner), or None if it missed the plan."""
    wander = Wander()
    for ply in range(plan.limit):
        if (ended := outcome_of(board)) is not None:
            return ended if plan.ending in ("any", ended[0]) else None
        if ply >= plan.turn and (by_players := _called_off(plan, board)) is not None:
            return by_players
        board.push(_choose(plan, board, random, wander, steer=ply >= plan.turn))
    return None


def _called_off(plan: Plan, board: chess.Board) -> tuple[str, Side | None] | None:
    """Return (ending, winner) if the players would end the game here as planned."""
    behind = balance(board) * (-1 if board.turn else 1)
    other = side(not board.turn)
    ending = plan.ending
    if ending == "resignation" and behind >= 3:
        return ending, other
    if ending == "agreement" and (abs(behind) <= 1 or plan.variant == "horde"):
        return ending, None
    if ending == "timeout" and not board.is_check():
        return ending, None if board.has_insufficient_material(not board.turn) else other
    if ending == "threefold_repetition" and board.is_repetition(3):
        return ending, None
    if ending == "fifty_moves" and board.is_fifty_moves():
        return ending, None
    return (ending, None) if ending == "aborted" else None


def _choose(
    plan: Plan, board: chess.Board, random: Random, wander: Choose, *, steer: bool
) -> chess.Move:
    moves = list(board.legal_moves)
    ending = plan.ending
    if ending in ("checkmate", "any") and (won := finishing(board, moves, _won)) is not None:
        return won
    if steer and ending in ("stalemate", "insufficient_material", "variant_draw"):
        wanted = finishing(board, moves, lambda after: (outcome_of(after) or "?")[0] == ending)
        if wanted is not None:
            return wanted
    if steer and ending.endswith("fold_repetition"):
        return shuffle(board, moves, random)
    if steer and ending.endswith("_moves"):
        return wander(board, moves, random)
    if ending not in ("checkmate", "any"):
        moves = [move for move in moves if not _ends(board, move)] or moves
    return draw(board, moves, plan.white if board.turn else plan.black, random)


def _won(board: chess.Board) -> bool:
    return board.is_checkmate() or board.is_variant_loss()


def _ends(board: chess.Board, move: chess.Move) -> bool:
    return board.gives_check(move) and finishing(board, [move], _won) is not None


def _written(
    plan: Plan, board: chess.Board, first: str, ended: tuple[str, Side | None], name: str
) -> chess.pgn.Game:
    ending, winner = ended
    game = chess.pgn.Game.from_board(board)
    game.headers["Event"] = "gameshard self-play"
    game.headers["Site"] = "bench/games"
    game.headers["Round"] = name
    game.headers["Result"] = "*" if ending == "aborted" else _RESULTS[winner]
    if plan.fen and plan.variant == "chess":
        game.headers["Variant"] = "From Position"
    if plan.variant == "960":
        game.headers["FEN"] = first
        game.headers["SetUp"] = "1"
    game.headers["TimeControl"] = f"{FLAG_SECONDS}+0" if ending == "timeout" else "-"
    game.headers["Termination"] = _TERMINATIONS.get(ending, "Normal")
    game.headers["Ending"] = ending
    return game


def text(game: chess.pgn.Game) -> str:
    """Return the PGN of one game as the files hold it."""
    return game.accept(chess.pgn.StringExporter(columns=100)) + "\n"


def main() -> None:
    """Write all files anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, default=GAMES)
    parser.add_argument("--only", choices=sorted(FILES), action="append")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for file in options.only or FILES:
        games = [
            text(make(file, number, plan, options.seed))
            for number, plan in enumerate(FILES[file](), 1)
        ]
        (options.out / f"{file}.pgn").write_text("\n".join(games), encoding="utf-8")
        print(f"{file}.pgn: {len(games)} games")


if __name__ == "__main__":
    main()
