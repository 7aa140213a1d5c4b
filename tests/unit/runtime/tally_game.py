"""A game of nothing but counting, which can be told to misbehave: what the runtime is tested on."""

from types import SimpleNamespace
from typing import ClassVar

import msgspec
from msgspec import Struct

from actors.behaviour import (
    Command,
    Context,
    Deadline,
    Effect,
    Event,
    Outline,
    Query,
    Rejected,
    Repeated,
    Resume,
)


class Create(Command, tag="create"):
    players: tuple[str, ...] = ("ann", "bob")
    wake_after: int | None = None


class Add(Command, tag="add"):
    amount: int = 1
    turn: int | None = None
    fault: str | None = None
    to: str | None = None

    @property
    def known_again(self) -> bool:
        return self.turn is not None


class Finish(Command, tag="finish"):
    wants_presence: ClassVar[bool] = True


class Created(Event, tag="Created"):
    kind: str
    players: tuple[str, ...]
    wake_after: int | None = None


class Added(Event, tag="Added", omit_defaults=True):
    amount: int
    by: str | None
    fault: str | None = None
    to: str | None = None


class Woken(Event, tag="Woken"):
    pass


class Slept(Event, tag="Slept"):
    dead_ms: int


class Finished(Event, tag="Finished"):
    away: dict[str, int]
    ends: ClassVar[bool] = True


class State(Struct):
    players: tuple[str, ...]
    total: int = 0
    turn: int = 0
    deadline: int | None = None
    ended: bool = False
    dead_ms: int = 0
    fault: str | None = None
    seqs: tuple[int, ...] = ()


def decide(state: State | None, command: object, context: Context) -> list[Event]:
    match command:
        case Create(players=players, wake_after=wake_after):
            return [Created(kind="tally", players=players, wake_after=wake_after)]
        case Add(amount=amount, turn=turn, fault=fault, to=to):
            if state.ended:
                raise Rejected("game_over")
            if turn is not None and turn < state.turn:
                raise Repeated(state.seqs[turn])
            if amount < 0:
                raise Rejected("negative", "Only upwards.")
            if fault == "decide":
                raise RuntimeError("told to")
            return [Added(amount=amount, by=context.user, fault=fault, to=to)]
        case Finish():
            return [Finished(away=dict(context.away))]
        case Deadline():
            due = state.deadline is not None and state.deadline <= context.now
            return [Woken()] if due else []
        case Resume(dead_ms=dead_ms):
            return [Slept(dead_ms=dead_ms)]
    raise AssertionError(command)


def evolve(state: State | None, event: Event) -> State:
    match event:
        case Created(players=players, wake_after=wake_after):
            state = State(players)
            if wake_after is not None:
                state.deadline = round(event.at.timestamp() * 1000) + wake_after
        case Added(amount=amount, fault=fault):
            state.total += amount
            state.fault = fault
            if fault == "evolve":
                raise RuntimeError("told to")
            state.turn += 1
            state.seqs += (event.seq,)
        case Woken():
            state.deadline = None
        case Slept(dead_ms=dead_ms):
            state.dead_ms += dead_ms
            if state.deadline is not None:
                state.deadline += dead_ms
        case Finished():
            state.ended = True
            state.deadline = None
    return state


def effects(event: Event) -> list[Effect]:
    if isinstance(event, Added) and event.fault == "effects":
        raise RuntimeError("told to")
    if isinstance(event, Added) and event.to:
        return [Effect("tally", event.to, "add", msgspec.json.encode({"amount": event.amount}))]
    return []


def next_deadline(state: State) -> int | None:
    if state.fault == "deadline":
        raise RuntimeError("told to")
    return state.deadline


def pack(state: State) -> bytes:
    if state.fault == "pack":
        raise RuntimeError("told to")
    return msgspec.msgpack.encode(state)


def outline(state: State) -> Outline:
    seats = tuple((f"seat{i}", player) for i, player in enumerate(state.players))
    return Outline("ended" if state.ended else "started", seats, state.turn)


behaviour = SimpleNamespace(
    kind="tally",
    commands={"create": Create, "add": Add, "finish": Finish},
    paths={},
    queries={"state": Query},
    answers={"state": Struct},
    exports={},
    events=(Created, Added, Woken, Slept, Finished),
    rejections={"game_over": 409, "negative": 422},
    decide=decide,
    evolve=evolve,
    next_deadline=next_deadline,
    outline=outline,
    effects=effects,
    pack=pack,
    unpack=lambda data: msgspec.msgpack.decode(data, type=State),
    view=lambda state, query, viewer: {"total": state.total},
    export=lambda ending, events: "",
)
