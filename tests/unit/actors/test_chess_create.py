"""How games begin: terms within bounds, seats, legal starts."""

from __future__ import annotations

import random

import chess
import pytest
from chess_table import ANN, BOB, EVE, Table, clock, seated
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.behaviour import Rejected
from actors.chess.commands import (
    COMMANDS,
    Abort,
    ClockTerms,
    CreateGame,
    JoinGame,
    PlayMove,
)
from actors.chess.variants import VARIANTS

KIWIPETE = "r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R w KQkq - 0 1"

BAD_REQUESTS = {
    "kind": CreateGame(kind="checkers"),
    "variant": CreateGame(variant="bughouse"),  # pyright: ignore[reportArgumentType]
    "color": CreateGame(color="red"),  # pyright: ignore[reportArgumentType]
    "no fen": CreateGame(variant="fromPosition"),
    "oneself": CreateGame(opponent=ANN),
    "nobody": CreateGame(opponent=""),
    "a long name": CreateGame(opponent="x" * 129),
    "a name that can't be seen": CreateGame(opponent="a\u0000b"),
    "a name of two lines": CreateGame(opponent="a\nb"),
    "both seats": CreateGame(white=ANN, black=BOB),
    "a false rematch": CreateGame(rematch_of="game-0"),
    "no time": CreateGame(clock=ClockTerms(initial=0, increment=0)),
    "an empty clock": CreateGame(clock=ClockTerms()),
    "negative": CreateGame(clock=ClockTerms(initial=-1, increment=5)),
    "too long": CreateGame(clock=ClockTerms(initial=10_801)),
    "too kind": CreateGame(clock=ClockTerms(initial=60, increment=181)),
    "no days": CreateGame(clock=ClockTerms(days=0)),
    "too many days": CreateGame(clock=ClockTerms(days=15)),
    "two clocks": CreateGame(clock=ClockTerms(days=1, initial=60)),
}

BAD_POSITIONS = {
    "nothing": ("standard", ""),
    "nonsense": ("standard", "not a position at all"),
    "too long": ("standard", KIWIPETE + " " * 200),
    "not ASCII": ("standard", KIWIPETE.replace("0 1", "٠ 1")),
    "no kings": ("standard", "8/8/8/8/8/8/8/8 w - - 0 1"),
    "the other in check": ("standard", "4k3/8/8/8/8/8/4R3/4K3 w - - 0 1"),
    "castling without rooks": ("standard", "4k3/8/8/8/8/8/8/4K3 w KQkq - 0 1"),
    "a false en passant": ("standard", "4k3/8/8/8/8/8/8/4K2R w - e6 0 1"),
    "mate already": ("standard", "7k/6Q1/5K2/8/8/8/8/8 b - - 0 1"),
    "stalemate already": ("standard", "7k/5K2/6Q1/8/8/8/8/8 b - - 0 1"),
    "bare kings": ("standard", "4k3/8/8/8/8/8/8/4K3 w - - 0 1"),
    "75 moves already": ("standard", "4k3/8/8/8/8/8/8/4K2R w - - 150 1"),
    "a huge move number": ("standard", "4k3/8/8/8/8/8/8/4K2R w - - 0 10000"),
    "castling like Chess960": ("standard", "4k3/8/8/8/8/8/8/4K1R1 w G - 0 1"),
    "antichess with castling": ("antichess", "4k3/8/8/8/8/8/8/4K2R w K - 0 1"),
    "a hill climbed": ("kingOfTheHill", "4k3/8/8/8/4K3/8/8/7R b - - 0 1"),
    "checks used up": ("threeCheck", "4k3/8/8/8/8/8/8/4K2R w - - 0+3 0 1"),
    "checks to spare": ("threeCheck", "4k3/8/8/8/8/8/8/4K2R w - - 9+3 0 1"),
    "a king in the pocket": ("crazyhouse", "4k3/8/8/8/8/8/8/4K2R[K] w - - 0 1"),
    "a pocket too full": ("crazyhouse", f"4k3/8/8/8/8/8/8/4K2R[{'P' * 33}] w - - 0 1"),
    "a white king in horde": ("horde", "4k3/pppppppp/8/8/8/8/PPPPPPPP/4K3 w - - 0 1"),
    "a pawn in a race": ("racingKings", "8/8/8/8/8/8/krbnNBRK/qrbnNBRP w - - 0 1"),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_bad_terms_are_refused(name: str) -> None:
    """Every field out of its bounds is an invalid request, whoever decoded it."""
    assert Table().refusal(ANN, BAD_REQUESTS[name]) == "invalid_request"


@pytest.mark.parametrize("name", BAD_POSITIONS)
def test_bad_positions_are_refused(name: str) -> None:
    """No game begins where the rules allow none, or where it would be over at once."""
    variant, fen = BAD_POSITIONS[name]
    command = CreateGame(variant=variant, fen=fen)  # pyright: ignore[reportArgumentType]
    assert Table().refusal(ANN, command) == "bad_position"


@settings(max_examples=300, deadline=None)
@given(
    variant=st.sampled_from(list(VARIANTS)),
    seed=st.integers(0, 2**32),
    alphabet=st.sampled_from(["/12345678pnbrqkPNBRQK[]~ wb-KQkq0+", KIWIPETE]),
)
def test_any_text_as_fen_is_a_game_or_a_refusal(variant: str, seed: int, alphabet: str) -> None:
    """Whatever stands in `fen`, the answer is a game or "bad_position", never another error."""
    rng = random.Random(seed)
    fen = list(rng.choice([KIWIPETE, VARIANTS[variant].board().fen()]))
    for _ in range(rng.randrange(1, 6)):
        fen[rng.randrange(len(fen))] = rng.choice(alphabet)
    table = Table()
    try:
        table.do(ANN, CreateGame(variant=variant, fen="".join(fen)))  # pyright: ignore[reportArgumentType]
    except Rejected as no:
        code = no.code
    else:
        code = "bad_position"
        assert table_board(table).fen() == table.view()["fen"]
    assert code == "bad_position"


def table_board(table: Table) -> chess.Board:
    """Return python-chess's board of the position in which the game began."""
    rules = VARIANTS[table.state.terms.variant]
    fen = table.state.terms.initial_fen
    return (
        rules.board(chess960=rules.chess960)
        if fen is None
        else rules.board(fen, chess960=rules.chess960)
    )


def test_a_position_makes_a_game_from_it() -> None:
    """A fen turns a standard game into one "fromPosition"; the usual start needs none."""
    assert seated(fen=KIWIPETE).view()["variant"] == "fromPosition"
    usual = seated(variant="fromPosition", fen=chess.STARTING_FEN).view()
    assert (usual["variant"], usual["initial_fen"]) == ("standard", chess.STARTING_FEN)
    other = seated(variant="atomic", fen=KIWIPETE).view()
    assert (other["variant"], other["initial_fen"]) == ("atomic", KIWIPETE)


def test_black_may_begin() -> None:
    """From a position with Black to move, Black makes the first move and ply 0."""
    table = seated(fen="4k3/8/8/8/8/8/4P3/4K2R b K - 0 1", clock=clock())
    assert table.mover == BOB
    table.play("e8d8", "e2e4")
    assert [event.by for event in table.events[2:]] == ["black", "white"]
    assert table.view()["clock"]["running"] == "black"


def test_chess960_draws_all_starts() -> None:
    """Seeds give each of the 960 starts, each of them legal with castling, recorded as FEN."""
    drawn: set[int] = set()
    for seed in range(0, 2 * 960, 2):
        table = Table()
        table.do(ANN, CreateGame(variant="chess960"), seed=seed)
        board = chess.Board(table.state.terms.initial_fen, chess960=True)
        assert board.fen() == table.view()["fen"]
        number = board.chess960_pos()
        assert number is not None
        drawn.add(number)
    assert len(drawn) == 960


@pytest.mark.parametrize(
    ("color", "seed", "white"),
    [("white", 0, True), ("black", 1, False), ("random", 1, True), ("random", 2, False)],
)
def test_the_creator_sits_where_they_chose(color, seed: int, white: bool) -> None:
    """The creator has the colour asked for, or the seed's, and the other seat is open."""
    table = Table()
    table.do(ANN, CreateGame(color=color), seed=seed)
    view = table.view()
    assert view["white"] == ({"id": ANN} if white else None)
    assert view["black"] == (None if white else {"id": ANN})
    assert view["status"] == "open"
    table.do(BOB, JoinGame())
    assert {table.state.white, table.state.black} == {ANN, BOB}
    assert table.state.status == "started"


def test_an_invitation_is_personal() -> None:
    """Only the named opponent joins."""
    table = Table()
    table.do(ANN, CreateGame(opponent=BOB))
    assert table.refusal(EVE, JoinGame()) == "not_invited"
    assert table.refusal(None, JoinGame()) == "not_a_player"
    table.do(BOB, JoinGame())
    assert table.state.status == "started"


def test_seats_are_taken_once() -> None:
    """The creator can't play alone, a third can't join, and nobody joins what's over."""
    table = Table()
    table.do(ANN, CreateGame())
    assert table.refusal(ANN, JoinGame()) == "own_game"
    table.do(BOB, JoinGame())
    assert table.refusal(EVE, JoinGame()) == "game_full"
    assert table.refusal(BOB, CreateGame()) == "game_exists"
    table.do(ANN, Abort())
    assert table.refusal(EVE, JoinGame()) == "game_over"


def test_strangers_do_nothing() -> None:
    """Who has no seat moves, resigns and offers nothing."""
    table = seated()
    for name, command in COMMANDS.items():
        if name in {"create", "join"}:
            continue
        wish = PlayMove(uci="e2e4") if name == "move" else command()
        assert table.refusal(EVE, wish) == "not_a_player"
        assert table.refusal(None, wish) == "not_a_player"


def test_equal_terms_are_one_object() -> None:
    """Games on the same terms share them, so that a hundred thousand cost as little as one."""
    first, second = seated(clock=clock(60)), seated(clock=clock(60))
    assert first.state.terms is second.state.terms
    assert first.state.board is second.state.board
