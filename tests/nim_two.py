"""Version 2 of the game in `tests/nim`: a player may give up, which version 1 knows nothing of.

It's installed instead of version 1, and plays with it as long as there are members that have it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import nim_game
from nim_game import Joined, Table, TableCreated, Taken, Won

from actors.behaviour import Command, Context, Effect, Event, Outline, Query, Rejected, UserId


class Resign(Command, tag="resign"):
    pass


class Resigned(Event, tag="Resigned"):
    player: UserId


class Table2(Table, array_like=True):
    resigned: UserId | None = None


kind = "nim"
versions = (1, 2)
commands = {**nim_game.commands, "resign": Resign}
paths: Mapping[str, str] = {}
queries = nim_game.queries
answers = nim_game.answers
exports: Mapping[str, str] = {}
events = (TableCreated, Joined, Taken, Won, Resigned)
rejections = {**nim_game.rejections, "not_yet": 409}


def decide(state: Table2 | None, command: object, context: Context) -> Sequence[Event]:
    match command:
        case Resign() if context.version < 2:
            raise Rejected("not_yet", "Not every part of the system knows how to give up yet.")
        case Resign():
            if state.winner is not None or len(state.seats) < 2 or context.user not in state.seats:
                raise Rejected("game_over")
            first, second = state.seats
            winner = second if context.user == first else first
            return [Resigned(player=context.user), Won(player=winner)]
    return nim_game.decide(state, command, context)


def evolve(state: Table2 | None, event: Event) -> Table2:
    match event:
        case TableCreated(pile=pile, player=player):
            return Table2(pile, [player], [], version=2)
        case Resigned(player=player):
            state.resigned = player
            return state
    return nim_game.evolve(state, event)


def pack(state: Table2, version: int | None = None) -> bytes:
    if version == 1:
        if state.resigned:
            raise ValueError("version 1 can't tell of it")
        return nim_game.pack(Table(state.pile, state.seats, state.takes, state.winner))
    return b"\x02" + msgspec.msgpack.encode(state)


def unpack(data: bytes) -> Table2:
    if data[:1] == b"\x02":
        return msgspec.msgpack.decode(data[1:], type=Table2)
    old = nim_game.unpack(data)
    return Table2(old.pile, old.seats, old.takes, old.winner, 2)


def view(state: Table2, query: Query, viewer: UserId | None) -> Mapping[str, object]:
    return {**nim_game.view(state, query, viewer), "resigned": state.resigned}


def next_deadline(state: Table2) -> int | None:
    return None


def outline(state: Table2) -> Outline:
    return nim_game.outline(state)


def effects(event: Event) -> Sequence[Effect]:
    return ()


def export(ending: str, events: Sequence[Event], names: Mapping[UserId, str] | None = None) -> str:
    raise ValueError(ending)
