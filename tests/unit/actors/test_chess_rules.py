"""Single rules that random games seldom meet."""

from __future__ import annotations

import pytest
from chess_table import ANN, BOB, clock, seated

from actors.behaviour import Deadline
from actors.chess.clock import next_deadline
from actors.chess.commands import ClaimDraw, PlayMove
from actors.chess.position import scratch_of, start_of


def test_mate_beats_the_seventyfive_moves() -> None:
    """A mate on the move that completes 75 moves without progress wins."""
    table = seated(variant="fromPosition", fen="7k/8/5K2/8/8/8/8/6Q1 w - - 149 100")
    table.play("g1g7")
    assert (table.state.winner, table.state.termination) == ("white", "checkmate")


def test_seventyfive_moves_end_the_game_at_once() -> None:
    """The 150th ply without progress draws, nobody having asked."""
    table = seated(variant="fromPosition", fen="7k/8/5K2/8/8/8/8/6Q1 w - - 149 100")
    table.play("g1g2")
    assert (table.state.winner, table.state.termination) == (None, "seventyfive_moves")


def test_three_times_is_claimed_and_five_times_is_not() -> None:
    """A position may be claimed at its third time, not before, and ends the game at its fifth."""
    there_and_back = ("g1f3", "g8f6", "f3g1", "f6g8")
    table = seated()
    table.play(*there_and_back)
    assert table.refusal(BOB, ClaimDraw()) == "no_claim"
    table.play(*there_and_back)
    claimed = seated()
    claimed.play(*there_and_back, *there_and_back)
    claimed.do(BOB, ClaimDraw())
    assert claimed.state.termination == "threefold_repetition"
    table.play(*there_and_back, *there_and_back)
    assert (table.state.winner, table.state.termination) == (None, "fivefold_repetition")


def test_a_position_with_another_right_to_castle_is_another() -> None:
    """Moving a rook there and back loses castling, so the start position has stood only twice."""
    table = seated(variant="fromPosition", fen="r3k2r/8/8/8/8/8/8/R3K2R w KQkq - 0 1")
    table.play("a1b1", "a8b8", "b1a1", "b8a8", "a1b1", "a8b8", "b1a1", "b8a8")
    assert table.refusal(ANN, ClaimDraw()) == "no_claim"
    table.play("a1b1", "a8b8", "b1a1", "b8a8")
    table.do(ANN, ClaimDraw())
    assert table.state.termination == "threefold_repetition"


def test_a_pinned_pawn_is_no_way_out() -> None:
    """It's stalemate where the only piece with a square to go to is pinned to its king."""
    table = seated(fen="2k5/8/b2b4/8/8/8/4n1P1/7K b - - 0 1")
    table.play("a6b7")
    assert (table.state.winner, table.state.termination) == (None, "stalemate")


def test_crazyhouse_positions_come_back_after_captures() -> None:
    """Where captured pieces return by drops, a position repeats across captures too."""
    table = seated(variant="crazyhouse", fen="r7/1b4k1/8/8/8/8/8/R3K3[] w - - 0 1")
    round_trip = ["a1a8", "b7a8", "R@a1", "a8b7", "e1d1", "R@a8", "d1e2", "g7h7", "e2e1", "h7g7"]
    table.play(*round_trip)
    assert table.refusal(ANN, ClaimDraw()) == "no_claim"
    table.play(*round_trip)
    table.do(ANN, ClaimDraw())
    assert table.state.termination == "threefold_repetition"


def test_fifty_moves_are_claimed() -> None:
    """The hundredth ply without progress may be claimed, the 99th not."""
    table = seated(variant="fromPosition", fen="7k/8/5K2/8/8/8/8/6R1 w - - 98 90")
    table.play("g1g2")
    assert table.refusal(ANN, ClaimDraw()) == "no_claim"
    table.play("h8h7")
    table.do(ANN, ClaimDraw())
    assert table.state.termination == "fifty_moves"


@pytest.mark.parametrize("uci", ["e1g1", "e1h1"])
def test_castling_has_one_form(uci: str) -> None:
    """In standard chess both spellings castle, and the move is recorded as e1g1."""
    table = seated(variant="fromPosition", fen="4k3/8/8/8/8/8/8/4K2R w K - 0 1")
    table.play(uci)
    assert table.view()["moves"] == ["e1g1"]
    assert table.view()["fen"].startswith("4k3/8/8/8/8/8/8/5RK1 b")


@pytest.mark.parametrize("uci", ["e1g1", "e1h1"])
def test_chess960_castling_has_one_form(uci: str) -> None:
    """In Chess960 both spellings castle where they can't be mistaken, recorded as king takes rook."""
    table = seated(variant="chess960", fen="4k3/8/8/8/8/8/8/4K2R w K - 0 1")
    table.play(uci)
    assert table.view()["moves"] == ["e1h1"]
    assert table.repeat(ANN, PlayMove(uci="e1g1", ply=0)) == 3


CASTLINGS = [  # king and rook begin anywhere; the king goes to the c or the g file
    ("4k3/8/8/8/8/8/8/4KR2 w F - 0 1", "e1g1", "e1f1"),
    ("4k3/8/8/8/8/8/8/4K1R1 w G - 0 1", "e1g1", "e1g1"),
    ("4k3/8/8/8/8/8/8/1R2K3 w B - 0 1", "e1c1", "e1b1"),
    ("4k3/8/8/8/8/8/8/2R1K3 w C - 0 1", "e1c1", "e1c1"),
    ("4k3/8/8/8/8/8/8/1K3R2 w F - 0 1", "b1g1", "b1f1"),
    ("4k3/8/8/8/8/8/8/R5KR w HA - 0 1", "g1c1", "g1a1"),
    ("4kr2/8/8/8/8/8/8/4K3 b f - 0 1", "e8g8", "e8f8"),
    ("r3k2r/8/8/8/8/8/8/R3K2R b KQkq - 0 1", "e8c8", "e8a8"),
]


@pytest.mark.parametrize(("fen", "uci", "stored"), CASTLINGS)
def test_chess960_castles_by_the_kings_squares_too(fen: str, uci: str, stored: str) -> None:
    """In Chess960 the king's two squares castle with that side's rook, wherever it stands."""
    for said, repeated in ((uci, stored), (stored, uci)):
        table = seated(variant="chess960", fen=fen)
        castler = table.mover
        table.play(said)
        assert table.view(san=True)["moves"] == [stored]
        assert table.view(san=True)["san"][0].startswith("O-O-O" if uci[2] == "c" else "O-O")
        assert table.repeat(castler, PlayMove(uci=repeated, ply=0)) == 3


@pytest.mark.parametrize(
    ("fen", "uci", "stored"),
    [
        ("4k3/8/8/8/8/8/8/5K1R w H - 0 1", "f1g1", "f1g1"),  # a step
        ("4k3/8/8/8/8/8/8/4K3 w - - 0 1", "e1g1", None),
        ("4k3/8/8/8/8/8/8/4KR2 w - - 0 1", "e1g1", None),  # the right is gone
        ("4k3/8/8/8/8/8/8/4KNR1 w G - 0 1", "e1g1", None),
        ("4k3/8/8/8/8/8/8/4KR2 w F - 0 1", "e1c1", None),
        ("4k3/8/8/8/8/8/8/4KR2 w F - 0 1", "e1g2", None),
        ("6rk/8/8/8/8/8/8/4KR2 w F - 0 1", "e1g1", None),  # into check
    ],
)
def test_chess960_mistakes_nothing_for_castling(fen: str, uci: str, stored: str | None) -> None:
    """A king's step stays a step, and no castling happens that the rules don't allow."""
    scratch = scratch_of("chess960")
    scratch.restore(start_of("chess960", fen))
    assert scratch.find(uci) == stored


def test_a_repeat_of_castling_may_use_the_other_form() -> None:
    """A repeated castling is recognised in its other spelling, a rook's move on those squares is not."""
    table = seated(variant="fromPosition", fen="4k3/8/8/8/8/8/8/4K2R w K - 0 1")
    table.play("e1g1")
    assert table.repeat(ANN, PlayMove(uci="e1h1", ply=0)) == 3
    table = seated(variant="fromPosition", fen="1k6/8/8/8/8/8/8/1K2R3 w - - 0 1")
    table.play("e1g1")
    assert table.refusal(ANN, PlayMove(uci="e1h1", ply=0)) == "stale_ply"


@pytest.mark.parametrize(
    "uci", ["0000", "", "e2e9", "e2", "e7e8q", "e2e2", "P@e4", "E2E4", "e2e4q", "e2e5"]
)
def test_nonsense_is_an_illegal_move(uci: str) -> None:
    """The null move, things that are no moves, and moves of other positions are refused alike."""
    assert seated().refusal(ANN, PlayMove(uci=uci)) == "illegal_move"


def test_drops_come_from_the_pocket() -> None:
    """In crazyhouse a captured pawn may be dropped by its captor, once."""
    table = seated(variant="crazyhouse")
    table.play("e2e4", "d7d5", "e4d5", "d8d5")
    assert table.refusal(ANN, PlayMove(uci="N@e4")) == "illegal_move"
    table.play("P@e4")
    assert table.refusal(BOB, PlayMove(uci="N@d4")) == "illegal_move"
    table.play("P@d4")
    assert table.refusal(ANN, PlayMove(uci="P@e3")) == "illegal_move"
    assert table.view()["moves"][-2:] == ["P@e4", "P@d4"]


# Two quiet moves, then the flag of who began falls. Whether the other side could still win is
# python-chess's has_insufficient_material, made after Lichess's; the reasons are for the reader.
FLAGS = [
    ("fromPosition", "8/8/4k3/8/8/3K4/8/7R w - - 0 1", "d3c3 e6d6", None),  # a bare king
    ("fromPosition", "8/8/4k3/8/8/3K4/8/7R b - - 0 1", "e6d6 d3c3", "white"),
    ("fromPosition", "8/8/4kn2/8/8/3K4/8/7R w - - 0 1", "d3c3 e6d6", "black"),  # smothered by the rook
    ("fromPosition", "8/8/4kn2/8/8/3K4/8/7Q w - - 0 1", "d3c3 e6d6", None),  # not by a queen
    ("fromPosition", "8/8/4kb2/8/8/3KP3/8/8 w - - 0 1", "d3c2 e6d6", "black"),
    ("kingOfTheHill", "8/8/7k/8/8/7K/8/7R w - - 0 1", "h3g3 h6g6", "black"),  # a bare king may climb
    ("threeCheck", "8/8/4k3/8/8/3K4/8/7R w - - 3+3 0 1", "d3c3 e6d6", None),
    ("threeCheck", "8/8/4kb2/8/8/3K4/8/7R w - - 3+3 0 1", "d3c2 e6d6", "black"),  # it can check
    ("racingKings", "8/8/8/8/8/8/k6K/8 w - - 0 1", "h2h3 a2a3", "black"),
    ("antichess", "8/8/8/8/8/8/3b4/BB6 w - - 0 1", "b1a2 d2e1", "black"),
    ("antichess", "8/8/8/8/8/8/3b4/BB6 b - - 0 1", "d2e1 b1a2", None),  # one of two can't be lost
    ("atomic", "8/8/4k3/8/8/3K4/8/7Q w - - 0 1", "d3c3 e6d6", None),
    ("atomic", "8/8/4kn2/8/8/3KR3/8/8 w - - 0 1", "d3c3 e6d6", "black"),  # the rook can explode
    ("horde", "4k3/8/8/8/8/8/8/R7 b - - 0 1", "e8e7 a1b1", None),  # a lone rook, a lone king
    ("horde", "4k3/8/8/8/8/8/8/R7 w - - 0 1", "a1b1 e8e7", "black"),
    ("crazyhouse", "8/8/4k3/8/8/3K4/8/8[Q] w - - 0 1", "d3c3 e6d6", "black"),  # it can change hands
]  # fmt: skip


@pytest.mark.parametrize(("variant", "fen", "moves", "winner"), FLAGS)
def test_a_flag_is_worth_what_the_other_side_could_win(
    variant: str, fen: str, moves: str, winner: str | None
) -> None:
    """Who has run out of time loses, but only to an opponent who could still win by the variant's rules."""
    table = seated(variant=variant, fen=fen, clock=clock(60))
    table.play(*moves.split())
    table.now = next_deadline(table.state) or 0
    table.do(None, Deadline())
    assert (table.state.winner, table.state.termination) == (winner, "timeout")
