"""Draws, takebacks, rematches, and what else two players agree on or claim."""

from __future__ import annotations

import msgspec
import pytest
from chess_table import ANN, BOB, EVE, Table, clock, replayed, seated

import actors.chess as behaviour
from actors.behaviour import Command
from actors.chess.clock import AWAY_MS, REMATCH_MS
from actors.chess.commands import (
    Abort,
    ClaimVictory,
    ClockTerms,
    CreateGame,
    Draw,
    JoinGame,
    PlayMove,
    Rematch,
    Resign,
    Takeback,
)

OPENING = ("e2e4", "e7e5", "g1f3", "b8c6")


def _ended(**terms) -> Table:
    table = seated(**terms)
    table.do(BOB, Resign())
    return table


@pytest.mark.parametrize("answer", [Draw(), Draw(accept=True), Draw(accept=True, offer=3)])
def test_a_draw_is_agreed(answer: Draw) -> None:
    """An offer is accepted by an answer, with or without its number, and by an offer of one's own."""
    table = seated()
    table.do(ANN, Draw())
    assert table.view()["offers"] == [{"type": "draw", "by": "white", "offer": 3}]
    table.do(BOB, answer)
    assert (table.state.winner, table.state.termination) == (None, "agreement")
    assert table.view()["offers"] == []


def test_a_draw_is_declined() -> None:
    """A declined offer is gone; at the same move it can't be made again."""
    table = seated()
    table.do(ANN, Draw())
    table.do(BOB, Draw(accept=False))
    assert table.view()["offers"] == []
    assert table.refusal(ANN, Draw()) == "asked_already"
    table.play("e2e4")
    table.do(ANN, Draw())


def test_a_draw_offer_ends_with_the_opponents_move() -> None:
    """An offer survives its maker's move and dies by the opponent's."""
    table = seated()
    table.do(ANN, Draw())
    table.play("e2e4")
    assert table.view()["offers"]
    table.play("e7e5")
    assert not table.view()["offers"]
    assert table.refusal(BOB, Draw(accept=True, offer=3)) == "no_such_offer"


@pytest.mark.parametrize("command", [Draw, Takeback])
def test_offers_are_the_opponents_to_answer(command: type[Command]) -> None:
    """Nobody accepts an offer of their own, of a wrong number, or that isn't there."""
    table = seated()
    table.play(*OPENING)
    assert table.refusal(BOB, command(accept=True)) == "no_such_offer"
    table.do(ANN, command())
    assert table.refusal(ANN, command(accept=True)) == "no_such_offer"
    assert table.refusal(BOB, command(accept=True, offer=3)) == "no_such_offer"
    assert table.refusal(BOB, command(offer=7)) == "invalid_request"
    assert table.refusal(EVE, command(accept=True)) == "not_a_player"
    assert table.repeat(ANN, command()) == 7


@pytest.mark.parametrize(("who", "back"), [(ANN, 2), (BOB, 1)])
def test_a_takeback_returns_to_before_ones_last_move(who: str, back: int) -> None:
    """The state after a takeback is the state before the move taken back, but for time and numbers."""
    table = seated()
    table.play(*OPENING)
    other = BOB if who == ANN else ANN
    table.do(who, Takeback())
    table.do(other, Takeback(accept=True))
    before = seated()
    before.play(*OPENING[: len(OPENING) - back])
    assert table.state.moves == before.state.moves
    assert table.state.board == before.state.board
    assert table.view()["fen"] == before.view()["fen"]
    assert table.view()["offers"] == []


def test_moves_after_a_takeback_keep_their_numbers() -> None:
    """Every ply still finds its event after moves were taken back, whatever came in between."""
    table = seated()
    table.play(*OPENING)
    for moves in (("g8f6", "f1c4", "f8c5"), ("b8c6", "d2d3", "f8e7")):
        table.do(BOB, Takeback())
        table.do(ANN, Takeback(accept=True))
        table.play(*moves)
    table.do(ANN, Takeback())
    table.do(BOB, Takeback())
    table.play("d2d4")
    last = {event.ply: event for event in table.events if type(event).__name__ == "MovePlayed"}
    for ply in range(len(table.state.moves) // 2):
        user = ANN if ply % 2 == 0 else BOB
        assert table.repeat(user, PlayMove(uci=last[ply].uci, ply=ply)) == last[ply].seq
    assert behaviour.pack(replayed(table.records)) == behaviour.pack(table.state)


def test_repetitions_are_forgotten_with_the_moves() -> None:
    """A position that was taken back doesn't count towards a repetition."""
    table = seated()
    there_and_back = ("g1f3", "g8f6", "f3g1", "f6g8")
    table.play(*there_and_back)
    board = table.state.board
    table.play("g1f3")
    table.do(ANN, Takeback())
    table.do(BOB, Takeback())
    assert table.state.board == board


def test_a_takeback_ends_with_the_next_move() -> None:
    """A request is gone as soon as anybody moves, and can't be granted later."""
    table = seated()
    table.play(*OPENING)
    table.do(BOB, Takeback())
    table.play("f1b5")
    assert table.refusal(ANN, Takeback(accept=True)) == "no_such_offer"


def test_there_must_be_something_to_take_back() -> None:
    """Who hasn't moved has nothing to take back."""
    table = seated()
    assert table.refusal(ANN, Takeback()) == "nothing_to_take_back"
    table.play("e2e4")
    assert table.refusal(BOB, Takeback()) == "nothing_to_take_back"
    table.do(ANN, Takeback())
    table.do(BOB, Takeback())
    assert table.view()["moves"] == []


def test_a_takeback_gives_no_time_back() -> None:
    """The clock that ran while the request stood is charged, and the increment goes with its move."""
    table = seated(clock=clock(60, 2))
    table.play(*OPENING, each_ms=1_000)
    assert (table.state.white_ms, table.state.black_ms) == (61_000, 61_000)
    table.now += 5_000
    table.do(BOB, Takeback())
    table.do(ANN, Takeback())
    assert (table.state.white_ms, table.state.black_ms) == (56_000, 59_000)
    assert table.view()["clock"]["running"] == "black"
    assert behaviour.pack(replayed(table.records)) == behaviour.pack(table.state)


@pytest.mark.parametrize(("played", "back"), [(4, 2), (4, 1), (3, 1), (3, 2), (2, 1), (1, 1)])
def test_moving_and_taking_back_mints_no_time(played: int, back: int) -> None:
    """However often moves are taken back and played again at once, nobody has more than before."""
    table = seated(clock=clock(60, 5))
    table.play(*OPENING[:played])
    before = table.state.white_ms, table.state.black_ms
    for _ in range(3):
        asker = (ANN, BOB)[(played - back) % 2]
        table.do(asker, Takeback())
        table.do(BOB if asker == ANN else ANN, Takeback(accept=True))
        assert len(table.view()["moves"]) == played - back
        table.play(*OPENING[played - back : played])
        assert (table.state.white_ms, table.state.black_ms) == before


@pytest.mark.parametrize(("left", "after"), [(6_000, 1_000), (5_400, 1_000), (900, 900)])
def test_a_takeback_leaves_a_second_to_who_had_it(left: int, after: int) -> None:
    """Without its increments a clock stands at a second, or at the little that it had."""
    table = seated(clock=clock(10, 10))
    table.play(*OPENING)
    assert table.state.white_ms == 20_000
    table.now += 1
    table.do(ANN, Takeback())
    table.state.white_ms = left + 1
    table.do(BOB, Takeback(accept=True))
    assert (table.state.white_ms, table.state.black_ms) == (after, 10_000)


def test_a_rematch_swaps_colours_on_the_same_terms() -> None:
    """Agreement names the next game, and its effect makes that game, both seated and started."""
    table = _ended(clock=clock(180, 2), variant="atomic")
    table.do(ANN, Rematch())
    event = table.do(BOB, Rematch(), seed=77)[0]
    (effect,) = behaviour.effects(event)
    assert (effect.kind, effect.game, effect.command, effect.user) == (
        "chess",
        event.next,
        "create",
        None,
    )
    following = Table(effect.game)
    following.do(None, msgspec.json.decode(effect.body, type=CreateGame))
    view = following.view()
    assert (view["white"], view["black"]) == ({"id": BOB}, {"id": ANN})
    assert (view["status"], view["variant"], view["rematch_of"]) == (
        "started",
        "atomic",
        table.game,
    )
    assert (view["clock"]["initial"], view["clock"]["increment"]) == (180, 2)
    assert table.view()["rematch"] == event.next
    assert following.repeat(BOB, JoinGame()) == 1


@pytest.mark.parametrize(
    "terms",
    [
        {"variant": "chess960"},
        {"fen": "4k3/8/8/8/8/8/4P3/4K3 w - - 0 1"},
        {"clock": ClockTerms(days=3)},
    ],
)
def test_a_rematch_of_anything_can_be_created(terms) -> None:
    """Chess960 draws another start, a given position is played again, days stay days."""
    table = _ended(**terms)
    table.do(BOB, Rematch())
    event = table.do(ANN, Rematch(accept=True))[0]
    following = Table(event.next)
    following.do(
        None, msgspec.json.decode(behaviour.effects(event)[0].body, type=CreateGame), seed=2 << 20
    )
    assert following.state.terms.variant == table.state.terms.variant
    if table.state.terms.variant == "chess960":
        assert following.state.terms.initial_fen != table.state.terms.initial_fen
    else:
        assert following.state.terms is table.state.terms


def test_only_a_rematch_has_effects() -> None:
    """No other event sends a command anywhere."""
    table = seated()
    table.play(*OPENING)
    table.do(BOB, Resign())
    assert not any(behaviour.effects(event) for event in table.events)


def test_a_rematch_has_its_time() -> None:
    """It's offered after the end, within an hour, once agreed never again, and declined as any offer."""
    table = seated()
    assert table.refusal(ANN, Rematch()) == "rematch_closed"
    table.do(ANN, Resign())
    table.do(ANN, Rematch())
    table.do(BOB, Rematch(accept=False))
    assert table.refusal(ANN, Rematch()) == "asked_already"
    table.do(BOB, Rematch())
    table.now += REMATCH_MS + 1
    assert table.refusal(ANN, Rematch(accept=True)) == "rematch_closed"
    table.now -= 1
    table.do(ANN, Rematch(accept=True))
    assert table.refusal(BOB, Rematch()) == "rematch_closed"


def test_nobody_offers_a_rematch_of_a_game_with_an_empty_seat() -> None:
    """A game that was aborted before anybody joined has nobody to play again."""
    table = Table()
    table.do(ANN, CreateGame(color="white"))
    table.do(ANN, Abort())
    assert table.refusal(ANN, Rematch()) == "rematch_closed"


def test_abort_until_both_have_moved() -> None:
    """Either player may abort before Black's first move stands, and nobody afterwards."""
    for moves, who in (((), BOB), (("e2e4",), ANN)):
        table = seated()
        table.play(*moves)
        table.do(who, Abort())
        assert (table.state.winner, table.state.termination) == (None, "aborted")
    table = seated()
    table.play("e2e4", "e7e5")
    assert table.refusal(ANN, Abort()) == "cannot_abort"


def test_who_was_invited_may_decline() -> None:
    """The named opponent, who has no seat yet, may abort the game; others may not."""
    table = Table()
    table.do(ANN, CreateGame(opponent=BOB))
    assert table.refusal(EVE, Abort()) == "not_a_player"
    table.do(BOB, Abort())
    assert table.state.termination == "aborted"


@pytest.mark.parametrize(
    "command", [Resign(), Draw(), Takeback(), Abort(), ClaimVictory(), PlayMove(uci="e2e4")]
)
def test_an_ended_game_takes_nothing(command: Command) -> None:
    """After the end every command of play is refused as game_over."""
    assert _ended().refusal(ANN, command) == "game_over"


@pytest.mark.parametrize("command", [Resign(), Draw(), Takeback(), PlayMove(uci="e2e4")])
def test_an_open_game_waits(command: Command) -> None:
    """Before the other player has come there's nothing to play, resign or offer."""
    table = Table()
    table.do(ANN, CreateGame(color="white"))
    assert table.refusal(ANN, command) == "not_started"


@pytest.mark.parametrize(
    ("away_ms", "code"), [(None, "no_claim"), (AWAY_MS - 1, "no_claim"), (AWAY_MS, None)]
)
def test_victory_is_claimed_from_who_left(away_ms: int | None, code: str | None) -> None:
    """A minute after the opponent has gone the game may be claimed, not a millisecond before."""
    table = seated(clock=clock(600))
    table.play(*OPENING, "f1b5")
    table.now += 2 * AWAY_MS
    away = {} if away_ms is None else {BOB: table.now - away_ms}
    if code:
        assert table.refusal(ANN, ClaimVictory(), away=away) == code
    else:
        table.do(ANN, ClaimVictory(), away=away)
        assert (table.state.winner, table.state.termination) == ("white", "abandoned")


def test_who_moves_is_not_away() -> None:
    """A player without a connection who moved within the minute can't be claimed from."""
    table = seated(clock=clock(600))
    table.play(*OPENING, "f1b5")
    table.now += AWAY_MS - 1
    assert table.refusal(ANN, ClaimVictory(), away={BOB: 0}) == "no_claim"
    assert table.refusal(ANN, ClaimVictory(), away={ANN: 0}) == "no_claim"
    table.now += 1
    table.do(ANN, ClaimVictory(), away={BOB: 0})


def test_nobody_claims_on_their_own_turn() -> None:
    """While one's own clock runs one can move, whoever has left."""
    table = seated(clock=clock(600))
    table.play(*OPENING)
    table.now += 2 * AWAY_MS
    assert table.refusal(ANN, ClaimVictory(), away={BOB: 0}) == "no_claim"
    table.do(BOB, ClaimVictory(), away={ANN: 0})
    assert (table.state.winner, table.state.termination) == ("black", "abandoned")


@pytest.mark.parametrize("terms", [None, ClockTerms(days=1)])
def test_nobody_claims_slow_games(terms: ClockTerms | None) -> None:
    """Without a clock or with days a move, being away is how it's played."""
    slow = seated(clock=terms)
    slow.play(*OPENING, "f1b5")
    slow.now += 2 * AWAY_MS
    assert slow.refusal(ANN, ClaimVictory(), away={BOB: 0}) == "no_claim"
