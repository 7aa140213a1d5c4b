"""What an operator sets about chess holds for new games, and history outlives the setting."""

from __future__ import annotations

import msgspec
import pytest
from chess_table import ANN, BOB, START, Table, clock, decoder

import actors.chess as behaviour
from actors.behaviour import Configurable, Deadline
from actors.chess.clock import DAY_MS
from actors.chess.commands import ClockTerms, CreateGame, JoinGame, PlayMove
from actors.chess.settings import ChessSettings


def _started(first_move: int, terms: ClockTerms | None) -> Table:
    """Return a game that began under this setting."""
    table = Table()
    table.decide = behaviour.configured(ChessSettings(first_move=first_move)).decide
    table.do(ANN, CreateGame(color="white", clock=terms))
    table.do(BOB, JoinGame())
    return table


def test_a_configured_game_is_the_same_game():
    """Nothing but what it decides is another's: whatever the runtime looks for is there."""
    configured = behaviour.configured(ChessSettings())
    assert isinstance(configured, Configurable)
    for name in set(behaviour.__all__) - {"decide"}:
        assert getattr(configured, name) is getattr(behaviour, name)


def test_a_first_move_may_take_what_the_operator_says():
    """A game is aborted after so many seconds as were set when it was created, not sooner or later."""
    table = _started(7, clock())
    assert table.view()["clock"]["first_move"] == 7
    assert behaviour.next_deadline(table.state) == table.now + 7_000
    table.now += 6_999
    table.do(ANN, PlayMove(uci="e2e4"))
    assert behaviour.next_deadline(table.state) == table.now + 7_000
    table.now += 7_000
    (ended,) = table.do(BOB, PlayMove(uci="e7e5"))
    assert (ended.winner, ended.termination) == (None, "aborted")


@pytest.mark.parametrize("first_move", [7, 30, 90])
def test_a_game_is_told_alike_under_any_setting(first_move):
    """Replayed where another setting holds, a game has its state, its deadline and its next events."""
    table = _started(first_move, clock())
    table.now += 1_000
    table.do(ANN, PlayMove(uci="e2e4"))
    elsewhere = behaviour.configured(ChessSettings(first_move=50))
    state = None
    for record in table.records:
        state = elsewhere.evolve(state, decoder.decode(record))
        state = elsewhere.unpack(elsewhere.pack(state))
    assert elsewhere.pack(state) == behaviour.pack(table.state)
    assert elsewhere.next_deadline(state) == table.now + first_move * 1000
    for late in (first_move * 1000 - 1, first_move * 1000):
        other = Table(now=table.now + late)
        other.state, other.decide = elsewhere.unpack(elsewhere.pack(state)), elsewhere.decide
        assert len(other.do(None, Deadline())) == (late >= first_move * 1000)


def test_a_game_of_old_waits_thirty_seconds():
    """A creation without the field, and a snapshot without it, mean 30 s; that isn't written."""
    table = _started(30, clock())
    assert b"first_move" not in table.records[0]
    elsewhere = behaviour.configured(ChessSettings(first_move=7))
    state = None
    for record in table.records:
        state = elsewhere.evolve(state, decoder.decode(record))
    assert elsewhere.next_deadline(state) == START + 30_000
    packed = elsewhere.pack(state)
    fields = msgspec.msgpack.decode(packed[1:])
    assert fields[0].pop() == 30
    old = elsewhere.unpack(packed[:1] + msgspec.msgpack.encode(fields))
    assert elsewhere.next_deadline(old) == START + 30_000
    assert elsewhere.pack(old) == packed


@pytest.mark.parametrize(("terms", "wait"), [(None, None), (ClockTerms(days=2), 2 * DAY_MS)])
def test_only_fischer_clocks_have_it(terms, wait):
    """Without a clock nobody is hurried, days wait for days, and neither writes the setting down."""
    table = _started(7, terms)
    assert b"first_move" not in table.records[0]
    deadline = behaviour.next_deadline(table.state)
    assert deadline == (None if wait is None else START + wait)


def test_equal_terms_are_one_object():
    """A setting costs a live game nothing: games of equal terms share them, rested ones too."""
    one, two, other = _started(7, clock()), _started(7, clock()), _started(8, clock())
    assert one.state.terms is two.state.terms is not other.state.terms
    assert behaviour.unpack(behaviour.pack(one.state)).terms is one.state.terms
