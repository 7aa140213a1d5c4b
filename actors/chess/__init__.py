"""Chess and its variants as a behaviour: this package satisfies `actors.behaviour.Behaviour`.

commands  events     what is asked, what happened: the published words
decide    offers     create: command -> facts
settings             what an operator may set about new games
evolve    state      fact -> state, and how little of it is kept
position  moves      boards and moves as bytes
endings   variants   the rules, python-chess underneath
legality  plain      a move judged, by python-chess only if it isn't a plain one
clock                time, lag, deadlines
packing   view  pgn  how a game is stored, shown (in the shapes of shown), exported
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import msgspec
from msgspec import Struct

from actors.behaviour import Behaviour, Command, Configurable, Effect, Event, Outline, Query, UserId
from actors.chess.clock import next_deadline
from actors.chess.commands import COMMANDS, PATHS, QUERIES, CreateGame
from actors.chess.decide import REJECTIONS, decide
from actors.chess.events import EVENTS, RematchAgreed
from actors.chess.evolve import evolve
from actors.chess.packing import pack, unpack
from actors.chess.pgn import pgn
from actors.chess.settings import ChessSettings
from actors.chess.shown import ANSWERS
from actors.chess.state import Game, plies
from actors.chess.view import view

__all__ = [
    "answers",
    "commands",
    "configured",
    "decide",
    "effects",
    "events",
    "evolve",
    "export",
    "exports",
    "kind",
    "next_deadline",
    "outline",
    "pack",
    "paths",
    "queries",
    "rejections",
    "settings",
    "unpack",
    "view",
]

kind: str = "chess"
commands: Mapping[str, type[Command]] = COMMANDS
paths: Mapping[str, str] = PATHS
queries: Mapping[str, type[Query]] = QUERIES
answers: Mapping[str, type[Struct]] = ANSWERS
exports: Mapping[str, str] = {"pgn": "application/x-chess-pgn"}
events: Sequence[type[Event]] = EVENTS
rejections: Mapping[str, int] = REJECTIONS
settings: type[Struct] = ChessSettings


def configured(settings: ChessSettings) -> Behaviour:
    """Return this behaviour with `settings` for the games that it will create."""
    own = {name: value for name, value in globals().items() if not name.startswith("_")}
    own["decide"] = partial(decide, settings=settings)
    return cast("Behaviour", SimpleNamespace(**own))


def outline(state: Game) -> Outline:
    """Return what the runtime may know of the game."""
    return Outline(state.status, (("white", state.white), ("black", state.black)), plies(state))


def effects(event: Event) -> Sequence[Effect]:
    """Return the creation of the rematch, if that's what was agreed."""
    if not isinstance(event, RematchAgreed):
        return ()
    body = CreateGame(
        kind=kind,
        variant=event.variant,
        fen=event.fen,
        clock=event.clock,
        rated=event.rated,
        white=event.white,
        black=event.black,
        rematch_of=event.game,
    )
    return (Effect(kind, event.next, "create", msgspec.json.encode(body)),)


def export(ending: str, events: Sequence[Event], names: Mapping[UserId, str] | None = None) -> str:
    """Render the game's history; "pgn" is all there is."""
    assert ending in exports
    return pgn(events, names or {})


if TYPE_CHECKING:
    from actors import chess

    behaviour: Configurable = chess  # the type checker holds this package to the protocol
