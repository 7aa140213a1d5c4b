"""What a fact makes of a game. Nothing is refused here, and nothing is looked up twice.

A move that was just decided brings its position along (`MovePlayed.after`). One that was read
from the log doesn't: its move is appended and the position lags behind until somebody needs it,
so that a replay trusts the log and builds no boards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.behaviour import millis
from actors.chess.clock import allotted, charged, quota, quota_after, running
from actors.chess.events import (
    DrawDeclined,
    DrawOffered,
    GameCreated,
    GameEnded,
    MovePlayed,
    PlayerJoined,
    RematchAgreed,
    RematchDeclined,
    RematchOffered,
    TakebackDeclined,
    TakebackOffered,
    TakenBack,
    TimeExcused,
)
from actors.chess.moves import CODES
from actors.chess.position import start_of
from actors.chess.state import (
    Game,
    Offer,
    OfferType,
    Terms,
    append_move,
    ask_bit,
    cut_moves,
    plies,
    shared,
)


def evolve(state: Game | None, event: Any) -> Game:
    """Return the game after `event`; a game that exists is changed in place."""
    if state is None:
        return _created(event)
    if type(event) is MovePlayed:
        _move(state, event)
        return state
    _HANDLERS[type(event)](state, event)
    state.updated_at = millis(event.at)
    return state


def _created(event: GameCreated) -> Game:
    clock = event.clock
    initial, increment, days = (
        (clock.initial or 0, clock.increment or 0, clock.days or 0) if clock else (0, 0, 0)
    )
    fen = event.initial_fen
    black_first = fen is not None and fen.split()[1] == "b"
    terms = shared(
        Terms(
            event.variant,
            fen,
            initial,
            increment,
            days,
            event.rated,
            black_first,
            event.first_move,
        )
    )
    now = millis(event.at)
    game = Game(terms, event.creator, now, now, event.white, event.black, event.opponent)
    game.rematch_of = event.rematch_of
    game.board = start_of(terms.variant, terms.initial_fen)
    if game.white is not None and game.black is not None:
        _start(game, event.seq, now)
    return game


def _start(game: Game, seq: int, now: int) -> None:
    game.status, game.joined, game.clock_at = "started", seq, now
    game.white_ms = game.black_ms = allotted(game.terms)
    game.white_lag = game.black_lag = quota(game.terms)


def _joined(game: Game, event: PlayerJoined) -> None:
    if event.color == "white":
        game.white = event.user
    else:
        game.black = event.user
    game.invited = None
    _start(game, event.seq, millis(event.at))


def _move(game: Game, event: MovePlayed) -> None:
    ply = plies(game)
    append_move(game, CODES[event.uci], event.seq)
    if (after := event.after) is not None:
        game.board, game.placed = after, ply + 1
    terms, white = game.terms, event.by == "white"
    if terms.clocked:
        game.white_ms, game.black_ms = event.white_ms or 0, event.black_ms or 0
        if ply >= 2 and not terms.days:
            if white:
                game.white_lag = quota_after(terms, game.white_lag, event.lag_ms or 0)
            else:
                game.black_lag = quota_after(terms, game.black_lag, event.lag_ms or 0)
    game.updated_at = game.clock_at = millis(event.at)
    game.asked = 0
    if game.offers:  # one's own draw offer outlives one's own move
        game.offers = tuple(o for o in game.offers if o.type == "draw" and o.by == event.by)


def _offered(kind: OfferType) -> Callable[[Game, Any], None]:
    def offered(game: Game, event: DrawOffered | TakebackOffered | RematchOffered) -> None:
        game.offers = (*game.offers, Offer(kind, event.by, event.seq))
        game.asked |= ask_bit(kind, event.by)

    return offered


def _declined(game: Game, event: DrawDeclined | TakebackDeclined | RematchDeclined) -> None:
    game.offers = tuple(offer for offer in game.offers if offer.seq != event.offer)


def _taken_back(game: Game, event: TakenBack) -> None:
    cut_moves(game, event.ply)
    game.offers, game.asked = (), 0
    game.clock_at = millis(event.at)
    if game.terms.clocked:
        game.white_ms, game.black_ms = event.white_ms or 0, event.black_ms or 0


def _excused(game: Game, event: TimeExcused) -> None:
    game.clock_at += event.dead_ms


def _ended(game: Game, event: GameEnded) -> None:
    now = millis(event.at)
    if running(game):
        game.white_ms, game.black_ms = charged(game, now)
    game.status, game.clock_at = "ended", now
    game.winner, game.termination = event.winner, event.termination
    game.offers, game.asked, game.invited = (), 0, None


def _agreed(game: Game, event: RematchAgreed) -> None:
    game.next, game.offers = event.next, ()


_HANDLERS: dict[type, Callable[[Game, Any], None]] = {
    PlayerJoined: _joined,
    DrawOffered: _offered("draw"),
    DrawDeclined: _declined,
    TakebackOffered: _offered("takeback"),
    TakebackDeclined: _declined,
    RematchOffered: _offered("rematch"),
    RematchDeclined: _declined,
    TakenBack: _taken_back,
    TimeExcused: _excused,
    GameEnded: _ended,
    RematchAgreed: _agreed,
}
