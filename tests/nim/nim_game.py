"""Nim: two players in turn take one to three stones, and whoever takes the last one has won.

A whole game as a package of its own. Nothing outside this folder knows that it exists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import msgspec
from msgspec import Struct

from actors.behaviour import (
    Command,
    Context,
    Effect,
    Event,
    Outline,
    Player,
    Query,
    Rejected,
    Repeated,
    UserId,
)


class CreateTable(Command, tag="create"):
    kind: str = "nim"
    pile: int = 21


class Join(Command, tag="join"):
    pass


class Take(Command, tag="take"):
    count: int
    turn: int | None = None


class TableCreated(Event, tag="TableCreated"):
    kind: str
    pile: int
    player: UserId


class Joined(Event, tag="Joined"):
    player: UserId


class Taken(Event, tag="Taken"):
    player: UserId
    count: int
    left: int
    turns: ClassVar[bool] = True


class Won(Event, tag="Won"):
    player: UserId
    ends: ClassVar[bool] = True


class GetTable(Query):
    pass


class TableShown(Struct):
    status: Literal["open", "started", "ended"]
    pile: int
    turn: Literal["first", "second"]
    first: Player | None
    second: Player | None
    winner: Literal["first", "second"] | None


class Table(Struct, array_like=True):
    pile: int
    seats: list[UserId]
    takes: list[int]
    """The seq of each `Taken`; their number says whose turn it is."""
    winner: UserId | None = None
    version: int = 1


kind = "nim"
commands = {"create": CreateTable, "join": Join, "take": Take}
paths: Mapping[str, str] = {}
queries = {"state": GetTable}
answers = {"state": TableShown}
exports: Mapping[str, str] = {}
events = (TableCreated, Joined, Taken, Won)
rejections = {
    "unauthenticated": 401,
    "bad_pile": 422,
    "seat_taken": 409,
    "not_your_turn": 409,
    "game_over": 409,
    "bad_count": 422,
}


def decide(state: Table | None, command: object, context: Context) -> Sequence[Event]:
    user = context.user
    match command:
        case CreateTable() | Join() | Take() if user is None:
            raise Rejected("unauthenticated")
        case CreateTable(pile=pile):
            if not 1 <= pile <= 1000:
                raise Rejected("bad_pile", "A pile has 1 to 1000 stones.")
            return [TableCreated(kind=kind, pile=pile, player=user)]
        case Join():
            if len(state.seats) == 2 or user in state.seats:
                raise Rejected("seat_taken")
            return [Joined(player=user)]
        case Take(count=count, turn=turn):
            return _take(state, user, count, turn)
        case _:  # Nim has no clock: `Deadline` and `Resume` are nothing to it.
            return []


def _take(state: Table, user: UserId, count: int, turn: int | None) -> Sequence[Event]:
    done = len(state.takes)
    if turn is not None and 0 <= turn < done and state.seats[turn % 2] == user:
        raise Repeated(state.takes[turn])
    if state.winner is not None:
        raise Rejected("game_over")
    if len(state.seats) < 2 or state.seats[done % 2] != user or turn not in (None, done):
        raise Rejected("not_your_turn")
    if not 1 <= count <= min(3, state.pile):
        raise Rejected("bad_count", "Take one to three stones.")
    left = state.pile - count
    taken = Taken(player=user, count=count, left=left)
    return [taken] if left else [taken, Won(player=user)]


def evolve(state: Table | None, event: Event) -> Table:
    match event:
        case TableCreated(pile=pile, player=player):
            return Table(pile, [player], [])
        case Joined(player=player):
            state.seats.append(player)
        case Taken(left=left):
            state.pile = left
            state.takes.append(event.seq)
        case Won(player=player):
            state.winner = player
    return state


def next_deadline(state: Table) -> int | None:
    return None


def outline(state: Table) -> Outline:
    first, second = (*state.seats, None)[:2]
    status = "ended" if state.winner else "started" if second else "open"
    return Outline(status, (("first", first), ("second", second)), len(state.takes))


def effects(event: Event) -> Sequence[Effect]:
    return ()


def pack(state: Table) -> bytes:
    return msgspec.msgpack.encode(state)


def unpack(data: bytes) -> Table:
    return msgspec.msgpack.decode(data, type=Table)


def view(state: Table, query: Query, viewer: UserId | None) -> Mapping[str, object]:
    seats = outline(state).seats
    players = {name: {"id": user} if user else None for name, user in seats}
    turn = seats[len(state.takes) % 2][0]
    return {"status": outline(state).status, "pile": state.pile, "turn": turn, **players} | {
        "winner": next((name for name, user in seats if user == state.winner), None)
        if state.winner
        else None
    }


def export(ending: str, events: Sequence[Event], names: Mapping[UserId, str] | None = None) -> str:
    raise ValueError(ending)
