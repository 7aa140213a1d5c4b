"""What a command does to a game: facts, or a refusal.

Time comes first: whoever asks for whatever after a flag has fallen (or a first move is overdue)
gets the GameEnded that was due, be it a second before the game's own deadline would have said so.
Only who comes too late to join is refused: they have no part in the end of that game.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from actors.behaviour import Context, Deadline, Event, Rejected, Repeated, Resume
from actors.chess.clock import (
    AWAY_MS,
    after_move,
    first_move_ms,
    next_deadline,
    running,
    tick,
    used_ms,
)
from actors.chess.commands import (
    Abort,
    ClaimDraw,
    ClaimVictory,
    CreateGame,
    Draw,
    JoinGame,
    PlayMove,
    Rematch,
    Resign,
    Takeback,
)
from actors.chess.create import create
from actors.chess.endings import can_win, claimable
from actors.chess.events import GameEnded, MovePlayed, PlayerJoined, TimeExcused
from actors.chess.legality import judge
from actors.chess.moves import uci_at
from actors.chess.offers import draw, rematch, takeback
from actors.chess.position import scratch_of
from actors.chess.settings import ChessSettings
from actors.chess.state import (
    Game,
    board_at,
    color_name,
    mover,
    plies,
    seat_of,
    seq_of,
    settle,
)

_DEFAULT = ChessSettings()
_CASTLED_FILES = {"c", "g"}


def decide(
    state: Game | None, command: Any, context: Context, settings: ChessSettings = _DEFAULT
) -> Sequence[Event]:
    """Return the facts that `command` produces on `state` (None: there's none yet).

    Of the operator's `settings` only creation knows: what they mean for a game is in its history.

    Raises:
        Rejected: With one of `REJECTIONS`; nothing happened.
        Repeated: If it's a repeat of a move or a join.
    """
    if type(command) is PlayMove and state is not None:
        return play(state, command, context)
    if type(command) is CreateGame:
        if state is not None:
            raise Rejected("game_exists", "Another game has this id.")
        return create(command, context, settings)
    if state is None:
        raise Rejected("no_such_game", "There's no such game.")
    if type(command) is Resume:
        return _resume(state, command, context)
    if (due := _due(state, context)) is not None:
        if type(command) is JoinGame and state.status == "open":
            raise Rejected("game_over", "Nobody joined in time.")
        return (due,)
    if type(command) is Deadline:
        return ()
    return _HANDLERS[type(command)](state, command, context)


# --- time --------------------------------------------------------------------------------------


def _due(game: Game, context: Context) -> GameEnded | None:
    deadline = next_deadline(game)
    if deadline is None or context.now - context.held_ms < deadline:
        return None
    return _flag_fall(game) if running(game) else _end(None, "aborted")


def _end(winner: bool | None, termination: Any) -> GameEnded:
    return GameEnded(winner=None if winner is None else color_name(winner), termination=termination)


def _flag_fall(game: Game) -> GameEnded:
    """End the game on the mover's time; a draw if the other side could never win."""
    winner = not mover(game, plies(game))
    return _end(winner if _can_win(game, winner) else None, "timeout")


def _can_win(game: Game, color: bool) -> bool:
    scratch = scratch_of(game.terms.variant)
    scratch.restore(settle(game))
    return can_win(scratch, color)


def _resume(game: Game, command: Resume, context: Context) -> Sequence[Event]:
    if game.status != "started" or not game.terms.clocked:
        return ()
    dead = min(command.dead_ms, context.now - game.clock_at)
    return (TimeExcused(dead_ms=dead),) if dead > 0 else ()


# --- moves -------------------------------------------------------------------------------------


def play(game: Game, command: PlayMove, context: Context) -> Sequence[Event]:
    """Return MovePlayed, and GameEnded behind it if the move ends the game.

    A move that comes after the flag has fallen, lag considered, ends the game instead.
    """
    color = seat_of(game, context.user)
    if color is None:
        raise Rejected("not_a_player", "Only the players move.")
    ply = plies(game)
    if command.ply is not None and command.ply != ply:
        _meet_earlier(game, command.uci, command.ply, color)
    _require_started(game)
    if mover(game, ply) != color:
        raise Rejected("not_your_turn", "It's the opponent's turn.")
    return _played(game, command.uci, color, context)


def _played(game: Game, uci: str, color: bool, context: Context) -> Sequence[Event]:
    terms, ply = game.terms, len(game.moves) // 2
    white_ms = black_ms = lag = None
    if terms.clocked:
        white_ms, black_ms = game.white_ms, game.black_ms
        if ply >= 2:
            left, given = tick(game, color, context)
            if left <= 0:
                return (_flag_fall(game),)
            lag = given or None
            if color:
                white_ms = after_move(terms, left)
            else:
                black_ms = after_move(terms, left)
        elif used_ms(game, context) >= first_move_ms(terms):
            return (_end(None, "aborted"),)
    judged = judge(terms.variant, settle(game), uci)
    if judged is None:
        raise Rejected("illegal_move", "The rules don't allow that move here.")
    found, after, end = judged
    event = MovePlayed(
        ply=ply,
        uci=found,
        by="white" if color else "black",
        white_ms=white_ms,
        black_ms=black_ms,
        lag_ms=lag,
    )
    vars(event)["after"] = after
    return (event,) if end is None else (event, _end(end.winner, end.termination))


def _meet_earlier(game: Game, uci: str, ply: int, color: bool) -> None:
    """Recognise the repeat of the move that `color` played at `ply`, or refuse it.

    Raises:
        Repeated: If it's that move.
        Rejected: "stale_ply" otherwise.
    """
    if 0 <= ply < plies(game) and mover(game, ply) == color:
        _meet(game, uci, ply)
    raise Rejected("stale_ply", f"The game is at ply {plies(game)}.")


def _meet(game: Game, uci: str, ply: int) -> None:
    played = uci_at(game.moves, ply)
    if uci != played and _may_be_one_castling(uci, played):
        # Castling has two spellings; which move was meant only the position of then can tell.
        scratch = scratch_of(game.terms.variant)
        scratch.restore(board_at(game, ply))
        uci = scratch.find(uci) or uci
    if uci == played:
        raise Repeated(seq_of(game, ply))


def _may_be_one_castling(uci: str, other: str) -> bool:
    """Return whether two moves may be the two spellings of one castling."""
    same_king = uci[:2] == other[:2] and uci[1:2] in {"1", "8"}
    same_rank = uci[1:2] == uci[3:] == other[3:]
    return same_king and same_rank and not _CASTLED_FILES.isdisjoint((uci[2:3], other[2:3]))


def _require_started(game: Game) -> None:
    if game.status == "open":
        raise Rejected("not_started", "The other player hasn't joined yet.")
    if game.status == "ended":
        raise Rejected("game_over", "The game is over.")


# --- the others --------------------------------------------------------------------------------


def _player(game: Game, context: Context) -> bool:
    color = seat_of(game, context.user)
    if color is None:
        raise Rejected("not_a_player", "Only the players may do that.")
    return color


def _join(game: Game, command: JoinGame, context: Context) -> Sequence[Event]:
    del command
    user, color = context.user, seat_of(game, context.user)
    if user is None:
        raise Rejected("not_a_player", "Nobody in particular can't join.")
    if color is not None:
        if color_name(color) == game.creator and not game.rematch_of:
            raise Rejected("own_game", "The other seat is for somebody else.")
        raise Repeated(game.joined)
    if game.status == "ended":
        raise Rejected("game_over", "The game is over.")
    if game.status == "started":
        raise Rejected("game_full", "Both seats are taken.")
    if game.invited is not None and user != game.invited:
        raise Rejected("not_invited", "The seat is kept for somebody else.")
    return (PlayerJoined(user=user, color="black" if game.white else "white"),)


def _resign(game: Game, command: Resign, context: Context) -> Sequence[Event]:
    del command
    color = _player(game, context)
    _require_started(game)
    return (_end(not color, "resignation"),)


def _abort(game: Game, command: Abort, context: Context) -> Sequence[Event]:
    """End a game that hasn't really begun. Who was invited may do so too: they decline."""
    del command
    if context.user is None or context.user != game.invited:
        _player(game, context)
    if game.status == "ended":
        raise Rejected("game_over", "The game is over.")
    if plies(game) >= 2:
        raise Rejected("cannot_abort", "Both players have moved.")
    return (_end(None, "aborted"),)


def _claim_draw(game: Game, command: ClaimDraw, context: Context) -> Sequence[Event]:
    """Either player may claim, whoever's turn it is (as on Lichess)."""
    del command
    _player(game, context)
    _require_started(game)
    scratch = scratch_of(game.terms.variant)
    board = settle(game)
    scratch.restore(board)
    termination = claimable(scratch, board)
    if termination is None:
        raise Rejected("no_claim", "Neither threefold repetition nor fifty moves.")
    return (_end(None, termination),)


def _claim_victory(game: Game, command: ClaimVictory, context: Context) -> Sequence[Event]:
    """Give the game to who was left alone with the opponent's clock running.

    The opponent must have been connected once and be so no more for a minute, and the turn must
    have been theirs for as long: someone who plays over plain HTTP is never away.
    """
    del command
    color = _player(game, context)
    _require_started(game)
    opponent = game.black if color else game.white
    since = context.away.get(cast("str", opponent))
    if not running(game) or game.terms.days:
        raise Rejected("no_claim", "There's no claim to this game.")
    if mover(game, plies(game)) == color:
        raise Rejected("no_claim", "It's your own turn.")
    if since is None or context.now - max(since, game.clock_at) < AWAY_MS:
        raise Rejected("no_claim", "The opponent hasn't been away for a minute.")
    return (_end(color if _can_win(game, color) else None, "abandoned"),)


_HANDLERS: dict[type, Callable[[Game, Any, Context], Sequence[Event]]] = {
    JoinGame: _join,
    Resign: _resign,
    Abort: _abort,
    Draw: draw,
    Takeback: takeback,
    ClaimDraw: _claim_draw,
    ClaimVictory: _claim_victory,
    Rematch: rematch,
}

REJECTIONS: dict[str, int] = {
    "invalid_request": 400,
    "bad_position": 422,
    "no_such_game": 404,
    "game_exists": 409,
    "illegal_move": 422,
    "not_your_turn": 409,
    "stale_ply": 409,
    "not_started": 409,
    "game_over": 409,
    "not_a_player": 403,
    "own_game": 409,
    "game_full": 409,
    "not_invited": 403,
    "cannot_abort": 409,
    "no_claim": 409,
    "no_such_offer": 409,
    "asked_already": 409,
    "nothing_to_take_back": 409,
    "rematch_closed": 409,
}
"""Every code in a `Rejected`, with its HTTP status."""
