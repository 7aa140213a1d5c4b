"""What people would do at each kind of game: wishes for the conformance suite, good and bad.

A kind takes part by a function here: it sees the game as a player does and names a user, a
command and its fields. Whether the wish is allowed is for the behaviour to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, NamedTuple

import chess
import chess.variant

STRANGER = "eve"
USERS = ("ann", "bob", STRANGER, None)


class Wish(NamedTuple):
    """`user` sends the command `name` with the JSON object `body`."""

    user: str | None
    name: str
    body: Mapping[str, Any]


class Script(NamedTuple):
    """How one kind is played.

    `create` draws the body of a create; `wish` the next wish, given the state's public view.
    `queries` holds a body for each query that needs one.
    """

    create: Callable[[Random], Mapping[str, Any]]
    wish: Callable[[Random, Mapping[str, Any]], Wish]
    queries: Mapping[str, Mapping[str, Any]]


NEAR_THE_END = (
    None,
    "7k/5Q2/8/8/8/8/8/K7 w - - 98 90",  # a fifty-move claim, stalemate and mate at hand
    "8/P6k/8/8/8/8/7p/K7 w - - 0 1",  # promotions
    "8/8/8/3k4/8/8/1r6/K7 w - - 140 120",  # near the 75 moves, near bare kings
    "r3k2r/8/8/8/8/8/8/R3K2R w KQkq - 0 1",  # castling
    "rnbqkbnr/ppp1pppp/8/8/3pP3/8/PPPP1PPP/RNBQKBNR b KQkq e3 0 3",  # en passant
)


def _chess_create(rng: Random) -> Mapping[str, Any]:
    variants = ("chess960", "crazyhouse", "atomic", "antichess", "threeCheck", "racingKings")
    clocks = (None, {"initial": 60, "increment": 2}, {"days": 1}, {"initial": 0, "increment": 1})
    terms: dict[str, Any] = {"clock": rng.choice(clocks), "color": rng.choice(["white", "random"])}
    if rng.random() < 0.6:
        return terms | {"fen": rng.choice(NEAR_THE_END)}
    return terms | {"variant": rng.choice(variants)}


_OFFERS = ("draw", "takeback", "rematch")
_ACTS = (*_OFFERS, "claim-draw", "claim-victory", "abort", "resign", "join")


def _chess_wish(rng: Random, view: Mapping[str, Any]) -> Wish:
    if view["white"] is None or view["black"] is None:
        return Wish(rng.choice(("bob", "bob", None, "ann")), "join", {})
    players = [view["white"]["id"], view["black"]["id"]]
    if view["offers"] and rng.random() < 0.5:
        offer = rng.choice(view["offers"])
        answer = {"accept": rng.random() < 0.7, "offer": offer["offer"] + rng.choice((0, 0, 0, 1))}
        return Wish(players[offer["by"] == "white"], offer["type"], answer)
    if view["status"] == "ended" or rng.random() < 0.15:
        weights = [4, 4, 4, 2, 1, 1, 0.3, 1]
        return Wish(rng.choice(USERS), rng.choices(_ACTS, weights)[0], {})
    ply = len(view["moves"])
    if ply and rng.random() < 0.1:
        user = players[(view["turn"] == "white") == (rng.random() < 0.8)]
        return Wish(user, "move", {"uci": view["moves"][-1], "ply": ply - 1})
    mover = players[view["turn"] == "black"]
    user = mover if rng.random() < 0.95 else rng.choice(USERS)
    return Wish(user, "move", {"uci": _uci(rng, view), "ply": rng.choice((None, ply, ply))})


def _uci(rng: Random, view: Mapping[str, Any]) -> str:
    if rng.random() < 0.05:
        return rng.choice(("", "e2", "e9e1", "0000", "a1a1", "Q@e4", "e7e8x", "é2é4"))
    name = view["variant"].lower().replace("threecheck", "3check").replace("fromposition", "chess")
    board = chess.variant.find_variant("chess" if name in {"standard", "chess960"} else name)(
        view["fen"], chess960=name == "chess960"
    )
    return rng.choice([move.uci() for move in board.legal_moves] or ["e2e4"])


def _nim_create(rng: Random) -> Mapping[str, Any]:
    return {"pile": rng.choice((0, 1, 4, 21))} if rng.random() < 0.8 else {}


def _nim_wish(rng: Random, view: Mapping[str, Any]) -> Wish:
    if view["status"] == "open":
        return Wish(rng.choice(("bob", "ann", None)), "join", {})
    if rng.random() < 0.1:
        return Wish(rng.choice(USERS), "join", {})
    mover = (view[view["turn"]] or {"id": None})["id"]
    user = mover if rng.random() < 0.8 else rng.choice(USERS)
    return Wish(user, "take", {"count": rng.randint(0, 4), "turn": rng.choice((None, 0, 1, 2, 3))})


SCRIPTS: Mapping[str, Script] = {
    "chess": Script(_chess_create, _chess_wish, {"validate": {"uci": "e2e4"}}),
    "nim": Script(_nim_create, _nim_wish, {}),
}
