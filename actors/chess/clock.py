"""Time: clocks, what lag is forgiven, and when the game must look at the clock by itself.

A Fischer clock runs from when both sides have moved. Until then a clocked game waits
`Terms.first_move` for each first move and is aborted after it. A clock of days gives all of them
anew for each move and waits as long for the first ones. All times are in ms.

A move costs the time from the opponent's move until it came in, without what isn't the player's:
the wait for an owner, and all that goes by until the player's own gateway has sent them the
opponent's move. Who moved first by a gateway that didn't is charged by the game's own clock alone.

Lag: a player's time on the server begins when the opponent's move is sent to them and ends when
theirs arrives, so a whole round trip of it is the network's. That much is given back, as the
server measured it, but no more than `LAG_CAP_MS` a move and no more than the player's quota,
which refills with every move. Quota and refill are Lichess's (scalachess, LagTracker: the refill
is 2/5 of the estimated seconds of the game + 15 hundredths, at most 100; the quota starts at
three refills), with a lower ceiling.
"""

from __future__ import annotations

from typing import NamedTuple

from actors.behaviour import Context
from actors.chess.state import Game, Terms, mover, plies

FREE_PLIES = 2
OPEN_MS = 24 * 3_600_000
OPEN_DAYS_MS = 30 * OPEN_MS
AWAY_MS = 60_000
REMATCH_MS = 3_600_000
DAY_MS = 24 * 3_600_000
LAG_CAP_MS = 500
_QUOTA_MAX = 250
_SHORTEST_S = 3


class Tick(NamedTuple):
    """What a move costs. `left` is before the increment, and <= 0 if the flag has fallen."""

    left: int
    lag: int


def allotted(terms: Terms) -> int:
    """Return what each side has at the start.

    Without an initial time it's one increment, and at least 3 seconds (as on Lichess).
    """
    if terms.days:
        return terms.days * DAY_MS
    if not terms.clocked:
        return 0
    return (terms.initial or max(terms.increment, _SHORTEST_S)) * 1000


def refill(terms: Terms) -> int:
    """Return by how much a move raises the lag quota, in hundredths of a second."""
    if terms.days or not terms.clocked:
        return 0
    return min(100, (terms.initial + 40 * terms.increment) * 2 // 5 + 15)


def quota(terms: Terms) -> int:
    """Return the lag quota at the start, in hundredths of a second."""
    return min(3 * refill(terms), _QUOTA_MAX)


def quota_after(terms: Terms, before: int, lag: int) -> int:
    """Return the quota after a move on which `lag` ms were given back."""
    return min(before + refill(terms) - (lag + 9) // 10, _QUOTA_MAX)


def running(game: Game) -> bool:
    """Return whether somebody's clock runs."""
    return game.status == "started" and len(game.moves) >= 4 and game.terms.clocked


def tick(game: Game, color: bool, context: Context) -> Tick:
    """Return what a move of `color` costs that arrives now. Its clock runs."""
    left, credit = (game.white_ms, game.white_lag) if color else (game.black_ms, game.black_lag)
    lag = min(context.round_trip_ms, LAG_CAP_MS, credit * 10)
    used = used_ms(game, context)
    lag = min(lag, used)
    return Tick(left - used + lag, lag)


def used_ms(game: Game, context: Context) -> int:
    """Return how much of the time since the last move was the mover's, whose command comes now."""
    used = max(context.now - game.clock_at - context.held_ms, 0)
    return min(used, context.thought_ms) if context.thought_ms >= 0 else used


def after_move(terms: Terms, left: int) -> int:
    """Return what the mover has when the move is made."""
    return terms.days * DAY_MS if terms.days else left + terms.increment * 1000


def next_deadline(state: Game) -> int | None:
    """Return when the game must end by itself if nothing happens, in ms since the epoch.

    A flag is left up for as long as lag could excuse a move that is still under way.
    """
    if state.status == "open":
        return state.created_at + open_ms(state.terms)
    if state.status == "ended" or not state.terms.clocked:
        return None
    ply = plies(state)
    if ply < FREE_PLIES:
        return state.clock_at + first_move_ms(state.terms)
    color = mover(state, ply)
    left, credit = (state.white_ms, state.white_lag) if color else (state.black_ms, state.black_lag)
    return state.clock_at + left + min(LAG_CAP_MS, credit * 10)


def open_ms(terms: Terms) -> int:
    """Return how long a game waits for somebody to take the open seat."""
    return OPEN_DAYS_MS if terms.days else OPEN_MS


def first_move_ms(terms: Terms) -> int:
    """Return how long a clocked game waits for each side's first move."""
    return terms.days * DAY_MS or terms.first_move * 1000


def charged(game: Game, now: int) -> tuple[int, int]:
    """Return what White and Black have left at `now`, which no move has brought about."""
    white, black = game.white_ms, game.black_ms
    if running(game):
        used = max(now - game.clock_at, 0)
        if mover(game, plies(game)):
            white = max(white - used, 0)
        else:
            black = max(black - used, 0)
    return white, black
