"""What others rely on: the behaviour's contract, words on the wire, views and exports."""

from __future__ import annotations

import io
import json

import chess.pgn
import msgspec
import pytest
from chess_scripts import played
from chess_table import ANN, BOB, Table, clock, seated

import actors.chess
from actors.behaviour import Behaviour
from actors.chess.commands import (
    ClockTerms,
    CreateGame,
    Draw,
    GetGame,
    JoinGame,
    Resign,
    Takeback,
    ValidateMove,
)
from actors.chess.moves import UCIS
from actors.chess.position import scratch_of
from actors.chess.state import settle
from actors.chess.variants import VARIANTS

behaviour: Behaviour = actors.chess

WIRE = {
    "GameCreated": "kind variant creator rated initial_fen white black opponent clock rematch_of"
    " first_move",
    "PlayerJoined": "user color",
    "MovePlayed": "ply uci by white_ms black_ms lag_ms",
    "DrawOffered": "by",
    "DrawDeclined": "by offer",
    "TakebackOffered": "by",
    "TakebackDeclined": "by offer",
    "TakenBack": "by ply white_ms black_ms",
    "TimeExcused": "dead_ms",
    "GameEnded": "winner termination",
    "RematchOffered": "by",
    "RematchDeclined": "by offer",
    "RematchAgreed": "next white black variant rated fen clock",
}


def test_the_words_on_the_wire_are_frozen() -> None:
    """Events have the published names and fields, in the log as on the sockets."""
    found = {
        event.__struct_config__.tag: set(event.__struct_encode_fields__) - {"game", "seq", "at"}
        for event in behaviour.events
    }
    assert found == {name: set(fields.split()) for name, fields in WIRE.items()}


def test_commands_are_read_from_bodies_and_frames() -> None:
    """The same JSON type reads an HTTP body without a type and a whole WebSocket frame."""
    for name, command in behaviour.commands.items():
        fields = {"uci": "e2e4"} if name == "move" else {}
        body = msgspec.json.decode(json.dumps(fields), type=command)
        frame = msgspec.json.decode(
            json.dumps({"type": name, "id": "c1", "game": "g", **fields}), type=command
        )
        body.id, body.game = "c1", "g"
        assert body == frame
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(json.dumps({**fields, "unknown": 1}), type=command)
    assert behaviour.paths == {"move": "moves"}


def test_statuses_are_http_errors() -> None:
    """Every rejection has a status of its own kind."""
    assert set(behaviour.rejections.values()) <= {400, 403, 404, 409, 422}


def test_events_stay_small_and_plain() -> None:
    """A move of an untimed game carries six facts, and no optional field that's empty."""
    table = seated()
    table.play("e2e4")
    assert json.loads(table.records[2]) == {
        "type": "MovePlayed",
        "game": "game-1",
        "seq": 3,
        "at": "2025-06-15T15:06:40Z",
        "ply": 0,
        "uci": "e2e4",
        "by": "white",
    }


def test_the_outline_names_seats_and_moves() -> None:
    """The runtime learns status, seats in their order, and the number of moves."""
    table = Table()
    table.do(ANN, CreateGame(color="black"))
    assert behaviour.outline(table.state) == actors.chess.Outline(
        "open", (("white", None), ("black", ANN)), 0
    )
    table.do(BOB, JoinGame())
    table.play("e2e4")
    assert behaviour.outline(table.state).moves == 1


def test_the_view_has_the_public_shape() -> None:
    """A game is shown with the fields of the public API, ready for JSON."""
    table = seated(clock=clock(180, 2))
    table.play("e2e4", "e7e5", each_ms=1_000)
    table.do(ANN, Draw())
    view = behaviour.view(table.state, GetGame(san=True), ANN)
    assert json.loads(json.dumps(view)) == {
        "kind": "chess",
        "status": "started",
        "variant": "standard",
        "initial_fen": chess.STARTING_FEN,
        "fen": "rnbqkbnr/pppp1ppp/8/4p3/4P3/8/PPPP1PPP/RNBQKBNR w KQkq - 0 2",
        "moves": ["e2e4", "e7e5"],
        "san": ["e4", "e5"],
        "turn": "white",
        "white": {"id": ANN},
        "black": {"id": BOB},
        "creator": "white",
        "opponent": None,
        "clock": {
            "initial": 180,
            "increment": 2,
            "first_move": 30,
            "white_ms": 180_000,
            "black_ms": 180_000,
            "running": "white",
            "at": "2025-06-15T15:06:42Z",
        },
        "offers": [{"type": "draw", "by": "white", "offer": 5}],
        "winner": None,
        "termination": None,
        "rated": False,
        "rematch": None,
        "rematch_of": None,
        "created_at": "2025-06-15T15:06:40Z",
        "updated_at": "2025-06-15T15:06:42Z",
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_first_position_is_always_told(variant: str) -> None:
    """A game shows the position in which it began, the usual one of its variant too."""
    fen = "4k3/8/8/8/8/8/8/4K2R w K - 0 1" if variant == "fromPosition" else None
    table = seated(variant=variant, fen=fen)
    first = table.view()["fen"]
    assert table.view()["initial_fen"] == first
    scratch = scratch_of(variant).restore(settle(table.state))
    table.play(UCIS[next(scratch.generate_legal_moves())])
    assert table.view()["initial_fen"] == first != table.view()["fen"]


@pytest.mark.parametrize(
    ("uci", "answer"),
    [
        ("e2e4", {"legal": True, "san": "e4"}),
        ("e2e5", {"legal": False}),
        ("", {"legal": False}),
        ("x" * 9_999, {"legal": False}),
    ],
)
def test_moves_are_validated_on_demand(uci: str, answer: dict[str, object]) -> None:
    """A move is judged without being played, and written as a person would."""
    table = seated()
    before = behaviour.pack(table.state)
    assert behaviour.view(table.state, ValidateMove(uci=uci), None) == answer
    assert behaviour.pack(table.state) == before


@pytest.mark.parametrize("seed", range(40))
def test_pgn_parses_back(seed: int) -> None:
    """The exported PGN of any game, read by python-chess, has its moves, position, result and clocks."""
    table = played(seed, 40)
    view = table.view()
    text = behaviour.export("pgn", table.events, {})
    game = chess.pgn.read_game(io.StringIO(text))
    assert game is not None
    assert not game.errors
    assert [move.uci() for move in game.mainline_moves()] == view["moves"]
    assert game.end().board().fen() == view["fen"]
    assert type(game.board()) is VARIANTS[view["variant"]].board
    results = {"white": "1-0", "black": "0-1", None: "1/2-1/2"}
    over = view["status"] == "ended" and view["termination"] != "aborted"
    assert game.headers["Result"] == (results[view["winner"]] if over else "*")
    clocks = [node.clock() for node in game.mainline()]
    fischer = view["clock"] is not None and "initial" in view["clock"]
    assert all((clock is not None) == fischer for clock in clocks)


def test_pgn_says_what_players_look_for() -> None:
    """Headers, clock comments and the result are those that other programs read."""
    table = seated(clock=clock(180, 2))
    table.play("e2e4", "e7e5", "g1f3", each_ms=3_000)
    table.do(BOB, Takeback())
    table.do(ANN, Takeback(accept=False))
    table.do(BOB, Resign())
    text = behaviour.export("pgn", table.events, {ANN: 'Ann "the \\ cut"'})
    for line in (
        '[Event "Casual standard game"]',
        '[Site "game-1"]',
        '[UTCDate "2025.06.15"]',
        r'[White "Ann \"the \\ cut\""]',
        '[Black "bob"]',
        '[Result "1-0"]',
        '[TimeControl "180+2"]',
        '[Termination "Normal"]',
        "1. e4 { [%clk 0:03:00] } 1... e5 { [%clk 0:03:00] } 2. Nf3 { [%clk 0:02:59] } 1-0",
    ):
        assert line in text


@pytest.mark.parametrize(
    ("terms", "control"), [(ClockTerms(days=3), "1/259200"), (None, "-"), (clock(0, 5), "5+5")]
)
def test_pgn_time_controls(terms: ClockTerms | None, control: str) -> None:
    """Days are moves and seconds, no clock is a dash, as the PGN standard has it."""
    assert f'[TimeControl "{control}"]' in behaviour.export("pgn", seated(clock=terms).events, {})
