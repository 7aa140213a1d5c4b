"""A game as its players and watchers see it. Runs where the reader is, not where the game lives."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import chess
import msgspec

from actors.behaviour import UserId, instant
from actors.chess.clock import allotted, running
from actors.chess.commands import GetGame, ValidateMove
from actors.chess.fen import fen_of
from actors.chess.moves import MOVES, ucis
from actors.chess.position import new_board, scratch_of, start_of
from actors.chess.state import Game, color_name, mover, plies, settle


def view(state: Game, query: Any, viewer: UserId | None) -> Mapping[str, Any]:
    """Answer a query; everybody sees the same.

    A whole game lacks only what isn't in the state: the gateway adds "id", "seq", "now" and the
    players' names.
    """
    del viewer
    if isinstance(query, ValidateMove):
        return validate(state, query.uci)
    assert isinstance(query, GetGame)
    return whole(state, query.san)


def whole(game: Game, with_san: bool) -> dict[str, Any]:
    """Return the game in the public API's shape; times are RFC 3339 in UTC."""
    terms = game.terms
    initial, turn = _first_position(terms.variant, terms.initial_fen)
    fen = initial
    if game.moves:
        scratch = scratch_of(terms.variant)
        board = scratch.restore(settle(game))
        fen, turn = fen_of(scratch), color_name(board.turn)
    shown: dict[str, Any] = {
        "kind": "chess",
        "status": game.status,
        "variant": terms.variant,
        "initial_fen": initial,
        "fen": fen,
        "moves": ucis(game.moves),
        "turn": turn,
        "white": _player(game.white),
        "black": _player(game.black),
        "creator": game.creator,
        "opponent": _player(game.invited),
        "clock": _clock(game),
        "offers": [{"type": o.type, "by": o.by, "offer": o.seq} for o in game.offers],
        "winner": game.winner,
        "termination": game.termination,
        "rated": terms.rated,
        "rematch": game.next,
        "rematch_of": game.rematch_of,
        "created_at": _time(game.created_at),
        "updated_at": _time(game.updated_at),
    }
    if with_san:
        shown["san"] = sans(game)
    return shown


@lru_cache(maxsize=2_000)  # nearly every new game begins like another; a FEN costs 50 us
def _first_position(variant: str, initial_fen: str | None) -> tuple[str, str]:
    board = scratch_of(variant).restore(start_of(variant, initial_fen))
    return board.fen(), color_name(board.turn)


def validate(game: Game, uci: str) -> dict[str, Any]:
    """Tell whether the side to move may play `uci`, and how that's written."""
    scratch = scratch_of(game.terms.variant)
    board = scratch.restore(settle(game))
    found = scratch.find(uci) if game.status != "ended" else None
    if found is None:
        return {"legal": False}
    return {"legal": True, "san": board.san(MOVES[found])}


def sans(game: Game) -> list[str]:
    """Return the game's moves in standard algebraic notation."""
    board: chess.Board = new_board(game.terms.variant, game.terms.initial_fen)
    return [board.san_and_push(MOVES[uci]) for uci in ucis(game.moves)]


def _player(user: UserId | None) -> dict[str, str] | None:
    return None if user is None else {"id": user}


def _clock(game: Game) -> dict[str, Any] | None:
    terms = game.terms
    if not terms.clocked:
        return None
    kind: dict[str, Any] = (
        {"days": terms.days}
        if terms.days
        else {
            "initial": terms.initial,
            "increment": terms.increment,
            "first_move": terms.first_move,
        }
    )
    # Clocks are set when the second player comes; until then it's shown what they'll be set to.
    whole = allotted(terms) if game.white is None or game.black is None else None
    return {
        **kind,
        "white_ms": game.white_ms if whole is None else whole,
        "black_ms": game.black_ms if whole is None else whole,
        "running": color_name(mover(game, plies(game))) if running(game) else None,
        "at": _time(game.clock_at or game.created_at),
    }


def _time(ms: int) -> str:
    return msgspec.to_builtins(instant(ms))
