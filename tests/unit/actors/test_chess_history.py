"""Replay, snapshots, repeats: a game is what its log says, however it was put together."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from chess_scripts import a_move, played, start, step
from chess_table import ANN, BOB, decoder, replayed, seated
from hypothesis import given, settings
from hypothesis import strategies as st

import actors.chess as behaviour
from actors.behaviour import Repeated, event_decoder
from actors.chess.clock import allotted
from actors.chess.commands import GetGame, JoinGame, PlayMove
from actors.chess.packing import UnknownFormat
from actors.chess.state import Game, settle
from actors.chess.variants import VARIANTS

DATA = Path(__file__).parent / "data"
seeds = st.integers(0, 2**32)


@settings(max_examples=120, deadline=None)
@given(seed=seeds, steps=st.integers(0, 60))
def test_a_replay_gives_the_live_state(seed: int, steps: int) -> None:
    """The state evolved from the log's JSON packs to the same bytes as the state that was played."""
    table = played(seed, steps)
    assert behaviour.pack(replayed(table.records)) == behaviour.pack(table.state)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, before=st.integers(0, 30), after=st.integers(0, 30))
def test_a_game_goes_on_from_its_snapshot(seed: int, before: int, after: int) -> None:
    """A game packed and unpacked in the middle, then replayed or played on, ends up the same."""
    rng = random.Random(seed)
    table = start(rng)
    for _ in range(before):
        step(table, rng)
    packed = behaviour.pack(table.state)
    assert behaviour.pack(behaviour.unpack(packed)) == packed
    table.state = behaviour.unpack(packed)
    tail = len(table.records)
    for _ in range(after):
        step(table, rng)
    resumed = behaviour.unpack(packed)
    for record in table.records[tail:]:
        resumed = behaviour.evolve(resumed, decoder.decode(record))
    assert behaviour.pack(resumed) == behaviour.pack(table.state)
    assert behaviour.pack(replayed(table.records)) == behaviour.pack(table.state)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, steps=st.integers(1, 40))
def test_every_move_sent_twice_is_played_once(seed: int, steps: int) -> None:
    """A move repeated with its ply, at once or at the end, meets its own event and changes nothing."""
    rng = random.Random(seed)
    table = start(rng)
    sent: list[tuple[str, PlayMove, int]] = []
    for _ in range(steps):
        if table.state.status != "started":
            break
        user, move = table.mover, a_move(table, rng)
        move.ply = len(table.state.moves) // 2
        if type(table.do(user, move)[0]).__name__ != "MovePlayed":
            break
        sent.append((user, move, table.state.shift + move.ply))
        assert table.repeat(user, move) == sent[-1][2]
    before = behaviour.pack(table.state)
    for user, move, seq in sent:
        assert table.repeat(user, move) == seq
        assert decoder.decode(table.records[seq - 1]).ply == move.ply
    assert behaviour.pack(table.state) == before


def test_a_repeat_of_the_winning_move_is_a_repeat() -> None:
    """Who retries the mating move after the game has ended meets it, not game_over."""
    table = seated()
    table.play("f2f3", "e7e5", "g2g4", "d8h4")
    assert table.state.termination == "checkmate"
    assert table.repeat(BOB, PlayMove(uci="d8h4", ply=3)) == 6
    assert table.refusal(BOB, PlayMove(uci="d8h4")) == "game_over"


def test_another_move_at_an_old_ply_is_stale() -> None:
    """At a ply that was played, only the same move by the same player is a repeat."""
    table = seated()
    table.play("e2e4")
    assert table.refusal(ANN, PlayMove(uci="d2d4", ply=0)) == "stale_ply"
    assert table.refusal(BOB, PlayMove(uci="e2e4", ply=0)) == "stale_ply"
    assert table.refusal(BOB, PlayMove(uci="e7e5", ply=2)) == "stale_ply"
    assert table.refusal(BOB, PlayMove(uci="e7e5", ply=-1)) == "stale_ply"
    assert table.refusal(ANN, PlayMove(uci="d2d4", ply=1)) == "not_your_turn"


def test_joining_twice_is_joining_once() -> None:
    """The player who joined meets their own event again; the creator can't take the other seat."""
    table = seated()
    assert table.repeat(BOB, JoinGame()) == 2
    assert table.refusal(ANN, JoinGame()) == "own_game"


def test_a_replay_builds_no_boards() -> None:
    """Evolving events from the log leaves the position behind, and one settling catches up with all."""
    table = seated()
    table.play("e2e4", "e7e5", "g1f3", "b8c6")
    state = replayed(table.records)
    assert state.placed == 0
    settle(state)
    assert (state.placed, state.board) == (4, table.state.board)


def test_the_position_isnt_written() -> None:
    """What decide leaves on the event for evolve is in no record."""
    table = seated()
    table.play("e2e4")
    assert set(json.loads(table.records[-1])) == {"type", "game", "seq", "at", "ply", "uci", "by"}


def _lines(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (DATA / name).read_text().splitlines()]


@pytest.mark.parametrize("line", _lines("histories.jsonl"), ids=lambda line: line["name"])
def test_recorded_histories_stay_readable(line) -> None:
    """Logs and snapshots recorded once give, today, the state that they gave then."""
    records = [json.dumps(event).encode() for event in line["events"]]
    state = replayed(records)
    assert _as_told_then(state) == line["view"]
    assert _as_told_then(behaviour.unpack(bytes.fromhex(line["packed"]))) == line["view"]


def _as_told_then(state: Game) -> dict[str, Any]:
    """Return the view as it was when histories were recorded: it left out what is usual."""
    view = json.loads(msgspec.json.encode(behaviour.view(state, GetGame(), None)))
    if state.terms.initial_fen is None:
        assert view["initial_fen"] == VARIANTS[state.terms.variant].board().fen()
        view["initial_fen"] = None
    if state.status == "open" and view["clock"]:
        assert view["clock"]["white_ms"] == view["clock"]["black_ms"] == allotted(state.terms)
        view["clock"]["white_ms"] = view["clock"]["black_ms"] = 0
    if view["clock"]:
        assert view["clock"].pop("first_move", 30) == 30
    return view


@pytest.mark.parametrize("line", _lines("packed_v1.jsonl"), ids=lambda line: line["name"])
def test_snapshots_of_version_1_are_upcast(line) -> None:
    """Bytes of version 1 give the state that their game's events give, and pack as version 2."""
    old = behaviour.unpack(bytes.fromhex(line["packed"]))
    records = [json.dumps(event).encode() for event in line["events"]]
    assert bytes.fromhex(line["packed"])[0] == 1
    assert behaviour.pack(old)[0] == 2
    assert behaviour.pack(old) == behaviour.pack(replayed(records))


def test_a_newer_format_is_refused() -> None:
    """Bytes of a version that isn't known are refused by name, never misread."""
    with pytest.raises(UnknownFormat):
        behaviour.unpack(b"\x03" + behaviour.pack(seated().state)[1:])
    with pytest.raises(UnknownFormat):
        behaviour.unpack(b"")


def test_one_decoder_reads_all_events() -> None:
    """Every event that a game can record is told apart by its type alone."""
    decode = event_decoder(behaviour).decode
    table = played(7, 80)
    assert [type(decode(record)) for record in table.records] == [type(e) for e in table.events]


def test_repeated_carries_the_first_answer() -> None:
    """The seq in Repeated is that of the MovePlayed, also where another event came between."""
    table = seated()
    table.play("e2e4", "e7e5")
    table.do(ANN, behaviour.commands["draw"]())
    table.play("g1f3")
    with pytest.raises(Repeated) as caught:
        table.do(ANN, PlayMove(uci="g1f3", ply=2))
    assert caught.value.seq == 6
