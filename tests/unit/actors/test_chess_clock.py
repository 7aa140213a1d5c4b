"""Clocks: what is charged, what is forgiven, when a flag falls."""

from __future__ import annotations

import pytest
from chess_table import ANN, BOB, Table, clock, replayed, seated
from hypothesis import given, settings
from hypothesis import strategies as st

import actors.chess as behaviour
from actors.behaviour import Deadline, Resume
from actors.chess.clock import LAG_CAP_MS, OPEN_DAYS_MS, OPEN_MS, next_deadline
from actors.chess.commands import Abort, ClockTerms, CreateGame, JoinGame, PlayMove, Resign

OPENING = ("e2e4", "e7e5")


def _running(clock_terms: ClockTerms) -> Table:
    """Return a game in which White's clock has just begun to run."""
    table = seated(clock=clock_terms)
    table.play(*OPENING, each_ms=1_000)
    return table


def test_first_moves_cost_nothing() -> None:
    """Clocks stand still until both have moved, and neither first move earns an increment."""
    table = _running(clock(60, 5))
    assert (table.state.white_ms, table.state.black_ms) == (60_000, 60_000)
    assert table.view()["clock"]["running"] == "white"


def test_a_move_costs_its_time_and_earns_the_increment() -> None:
    """What is left is what was left, less the time taken, plus the increment; the event tells it."""
    table = _running(clock(60, 5))
    table.now += 7_000
    event = table.do(ANN, PlayMove(uci="g1f3"))[0]
    assert (event.white_ms, event.black_ms, event.lag_ms) == (58_000, 60_000, None)
    assert (table.state.white_ms, table.state.clock_at) == (58_000, table.now)


def test_no_initial_time_starts_with_an_increment() -> None:
    """0+5 starts with five seconds, 0+1 with three."""
    assert seated(clock=clock(0, 5)).state.white_ms == 5_000
    assert seated(clock=clock(0, 1)).state.white_ms == 3_000


@pytest.mark.parametrize("played", [(), ("e2e4",)])
def test_a_late_first_move_aborts(played: tuple[str, ...]) -> None:
    """A clocked game is aborted when a first move takes 30 s; the move itself comes too late then."""
    table = seated(clock=clock())
    table.play(*played)
    assert next_deadline(table.state) == table.now + 30_000
    table.now += 30_000 - 1
    assert table.do(None, Deadline()) == ()
    table.now += 1
    late = PlayMove(uci="d7d5" if played else "d2d4")
    events = table.do(BOB if played else ANN, late)
    assert [type(event).__name__ for event in events] == ["GameEnded"]
    assert (table.state.winner, table.state.termination) == (None, "aborted")


@pytest.mark.parametrize(
    ("terms", "open_ms"),
    [(None, OPEN_MS), (clock(), OPEN_MS), (ClockTerms(days=14), OPEN_DAYS_MS)],
)
def test_an_open_game_waits_so_long(terms: ClockTerms | None, open_ms: int) -> None:
    """A game that nobody joins ends after a day, one of days after 30; too late is a refusal."""
    table, joined = Table(), Table()
    for each in (table, joined):
        each.do(ANN, CreateGame(clock=terms))
        each.now += open_ms - 1
        assert each.do(None, Deadline()) == ()
    joined.do(BOB, JoinGame())
    assert joined.state.status == "started"
    table.now += 1
    assert table.refusal(BOB, JoinGame()) == "game_over"
    table.do(None, Deadline())
    assert table.state.termination == "aborted"
    assert table.refusal(BOB, JoinGame()) == "game_over"


@pytest.mark.parametrize(
    ("terms", "ms"),
    [(clock(60, 2), 60_000), (clock(0, 1), 3_000), (ClockTerms(days=3), 259_200_000)],
)
def test_an_open_game_shows_the_time_it_will_begin_with(terms: ClockTerms, ms: int) -> None:
    """Before the second player has come the clocks stand at what both will get, aborted or not."""
    table, aborted = Table(), Table()
    for each in (table, aborted):
        each.do(ANN, CreateGame(clock=terms))
    aborted.do(ANN, Abort())
    for each in (table, aborted):
        shown = each.view()["clock"]
        assert (shown["white_ms"], shown["black_ms"], shown["running"]) == (ms, ms, None)
    table.do(BOB, JoinGame())
    assert (table.state.white_ms, table.state.black_ms) == (ms, ms)


def test_games_without_a_clock_never_wake() -> None:
    """An untimed game has no deadline and charges nobody."""
    table = seated()
    assert next_deadline(table.state) is None
    table.play(*OPENING, "g1f3", each_ms=10**9)
    assert next_deadline(table.state) is None
    assert table.view()["clock"] is None


def test_days_begin_anew_with_each_move() -> None:
    """With days a move, each move has all of them, and the flag falls when they're over."""
    table = _running(ClockTerms(days=2))
    table.play("g1f3", "b8c6", each_ms=86_400_000)
    assert (table.state.white_ms, table.state.black_ms) == (172_800_000, 172_800_000)
    assert next_deadline(table.state) == table.now + 172_800_000
    table.now += 172_800_000
    table.do(None, Deadline())
    assert (table.state.winner, table.state.termination) == ("black", "timeout")


near = st.integers(-5, 5)
lags = st.sampled_from([0, 1, 40, LAG_CAP_MS - 1, LAG_CAP_MS, LAG_CAP_MS + 1, 5_000])


@settings(max_examples=300, deadline=None)
@given(over=near, rtt=lags, held=st.sampled_from([0, 0, 3, 2_000]))
def test_a_move_counts_just_until_the_flag_falls(over: int, rtt: int, held: int) -> None:
    """A move is played if, lag and holding apart, it took less than the time left; else it's a loss."""
    table = _running(clock(60))
    forgiven = min(rtt, LAG_CAP_MS)
    table.now += 60_000 + forgiven + held + over
    events = table.do(ANN, PlayMove(uci="g1f3"), rtt=rtt, held=held)
    name = type(events[0]).__name__
    assert name == ("MovePlayed" if over < 0 else "GameEnded")
    if over < 0:
        assert table.state.white_ms == -over
        assert (events[0].lag_ms or 0) == forgiven
    else:
        assert (table.state.winner, table.state.termination) == ("black", "timeout")
        assert table.state.white_ms == 0


@settings(max_examples=300, deadline=None)
@given(
    went_by=st.integers(0, 70_000),
    thought=st.integers(-1, 70_000),
    rtt=lags,
    held=st.sampled_from([0, 0, 3, 2_000]),
)
def test_a_player_pays_for_what_they_thought(
    went_by: int, thought: int, rtt: int, held: int
) -> None:
    """With a measured thought no more is charged than that, and never more than the time gone by."""
    table, same = _running(clock(60)), _running(clock(60))
    table.now = same.now = table.now + went_by
    events = table.do(ANN, PlayMove(uci="g1f3"), rtt=rtt, held=held, thought=thought)
    same.now -= held
    if 0 <= thought < went_by - held:
        same.now -= went_by - held - thought
    same.now = max(same.now, same.state.clock_at)
    assert [type(e) for e in events] == [
        type(e) for e in same.do(ANN, PlayMove(uci="g1f3"), rtt=rtt)
    ]
    assert table.state.white_ms == same.state.white_ms


@pytest.mark.parametrize(("thought", "ended"), [(-1, True), (29_999, False), (30_000, True)])
def test_a_first_move_is_late_by_its_player_alone(thought: int, ended: bool) -> None:
    """What a gateway took to send White's first move to Black doesn't make Black's come late."""
    table = seated(clock=clock())
    table.play("e2e4")
    table.now += 31_000
    table.do(BOB, PlayMove(uci="e7e5"), thought=thought)
    assert (table.state.status == "ended") == ended


@settings(max_examples=100, deadline=None)
@given(early=near)
def test_the_deadline_leaves_room_for_lag(early: int) -> None:
    """By itself the game ends not before the last moment at which a lagging move would count."""
    table = _running(clock(60))
    deadline = next_deadline(table.state)
    assert deadline == table.now + 60_000 + LAG_CAP_MS
    table.now = deadline + early
    events = table.do(None, Deadline())
    assert bool(events) == (early >= 0)
    assert table.state.status == ("ended" if early >= 0 else "started")


def test_lag_is_forgiven_within_a_quota() -> None:
    """Compensation comes out of a quota that refills slowly, so it can't be had on every move."""
    table = _running(clock(60))
    given_ms: list[int] = []
    steps = [move for file in "abcdfgh" for move in (f"{file}2{file}3", f"{file}7{file}6")]
    steps += [move for file in "abcdfgh" for move in (f"{file}3{file}4", f"{file}6{file}5")]
    for uci in steps:
        table.now += 1_000
        event = table.do(table.mover, PlayMove(uci=uci), rtt=LAG_CAP_MS)[0]
        if event.by == "white":
            given_ms.append(event.lag_ms or 0)
    assert given_ms == sorted(given_ms, reverse=True)
    assert given_ms[0] == LAG_CAP_MS
    assert given_ms[-1] == (60 * 2 // 5 + 15) * 10  # what a move of a 1+0 game refills
    assert table.state.white_lag >= 0


def test_lag_beyond_the_time_taken_is_not_a_gift() -> None:
    """A premove that took 3 ms is forgiven 3 ms, whatever the round trip."""
    table = _running(clock(60))
    table.now += 3
    event = table.do(ANN, PlayMove(uci="g1f3"), rtt=400)[0]
    assert (event.white_ms, event.lag_ms) == (60_000, 3)


@pytest.mark.parametrize("moves", [(), ("e2e4",), OPENING, (*OPENING, "g1f3")])
@given(dead=st.integers(1, 10**8), before=st.integers(0, 29_000))
@settings(max_examples=30, deadline=None)
def test_nobody_pays_for_an_outage(moves: tuple[str, ...], dead: int, before: int) -> None:
    """After an outage whoever's time was running has what they had before it, to the millisecond."""
    table = seated(clock=clock(60, 1))
    table.play(*moves)
    deadline = next_deadline(table.state)
    table.now += before + dead
    table.do(None, Resume(dead))
    assert next_deadline(table.state) == (deadline or 0) + dead
    assert table.do(None, Deadline()) == ()
    assert behaviour.pack(replayed(table.records)) == behaviour.pack(table.state)


def test_an_outage_excuses_no_more_than_has_passed() -> None:
    """An excuse that is longer than the running time is cut, so that a clock never runs from the future."""
    table = _running(clock(60))
    table.now += 10
    table.do(None, Resume(5_000))
    assert table.state.clock_at == table.now


def test_an_outage_concerns_running_time_only() -> None:
    """Open, ended and untimed games take no note of an outage."""
    table = Table()
    table.do(ANN, CreateGame(clock=clock()))
    table.now += 5_000
    assert table.do(None, Resume(5_000)) == ()
    untimed = seated()
    assert untimed.do(None, Resume(5_000)) == ()
    ended = _running(clock())
    ended.do(ANN, Resign())
    assert ended.do(None, Resume(5_000)) == ()


def test_a_fallen_flag_comes_before_everything_else() -> None:
    """Who resigns after the opponent's flag has fallen wins on time all the same."""
    table = _running(clock(60))
    table.now += 60_000 + LAG_CAP_MS
    table.do(BOB, Resign())
    assert (table.state.winner, table.state.termination) == ("black", "timeout")


def test_clocks_stop_at_the_end() -> None:
    """An ended game shows what each had left, and nothing runs."""
    table = _running(clock(60))
    table.now += 12_345
    table.do(BOB, Resign())
    shown = table.view()["clock"]
    assert (shown["white_ms"], shown["black_ms"], shown["running"]) == (47_655, 60_000, None)
    assert next_deadline(table.state) is None


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 3_000), lags), max_size=30),
    initial=st.integers(5, 20),
    increment=st.integers(0, 2),
)
def test_time_is_conserved(steps: list[tuple[int, int]], initial: int, increment: int) -> None:
    """What both have left is what they began with, plus increments and lag, less the time that passed."""
    table = _running(clock(initial, increment))
    begun, forgiven = table.now, 0
    knights = ("g1f3", "g8f6", "f3g1", "f6g8")
    for moves, (took, rtt) in enumerate(steps):
        table.now += took
        events = table.do(table.mover, PlayMove(uci=knights[moves % 4]), rtt=rtt)
        if type(events[0]).__name__ != "MovePlayed":
            break
        forgiven += events[0].lag_ms or 0
        left = table.state.white_ms + table.state.black_ms
        total = 2 * initial * 1_000 + (moves + 1) * increment * 1_000 + forgiven
        assert left == total - (table.now - begun)
        if table.state.status == "ended":
            break
