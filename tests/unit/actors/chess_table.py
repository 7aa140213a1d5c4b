"""A table at which tests play: it does to the behaviour what the runtime does, and keeps records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

import actors.chess as behaviour
from actors.behaviour import (
    Command,
    Context,
    Deadline,
    Rejected,
    Repeated,
    Resume,
    event_decoder,
    instant,
)
from actors.chess.commands import ClockTerms, CreateGame, JoinGame, PlayMove
from actors.chess.state import Game, mover, plies

START = 1_750_000_000_000
ANN, BOB, EVE = "ann", "bob", "eve"

decoder = event_decoder(behaviour)


class Table:
    """One game with White `ANN` and Black `BOB` (unless the test seats them otherwise)."""

    def __init__(self, game: str = "game-1", now: int = START) -> None:
        self.game = game
        self.now = now
        self.state: Any = None
        self.events: list[Any] = []
        self.records: list[bytes] = []
        self.decide = behaviour.decide

    def do(
        self,
        user: str | None,
        command: Command | Deadline | Resume,
        *,
        rtt: int = 0,
        held: int = 0,
        seed: int = 1,
        away: Mapping[str, int] | None = None,
        thought: int = -1,
    ) -> Sequence[Any]:
        """Decide, stamp, evolve, encode: as `runtime.partition` does it."""
        context = Context(
            self.game, self.now, user, rtt, held, seed, away or {}, thought_ms=thought
        )
        events = self.decide(self.state, command, context)
        for event in events:
            event.game, event.seq, event.at = self.game, len(self.events) + 1, instant(self.now)
            self.state = behaviour.evolve(self.state, event)
            self.events.append(event)
            self.records.append(msgspec.json.encode(event))
        return events

    def refusal(self, user: str | None, command: Command, **context: Any) -> str:
        """Return the code with which the command is refused; nothing may have changed."""
        before = None if self.state is None else behaviour.pack(self.state)
        with pytest.raises(Rejected) as caught:
            self.do(user, command, **context)
        assert caught.value.code in behaviour.rejections
        assert before == (None if self.state is None else behaviour.pack(self.state))
        return caught.value.code

    def repeat(self, user: str | None, command: Command, **context: Any) -> int:
        """Return the seq of the event that the command is recognised to repeat."""
        with pytest.raises(Repeated) as caught:
            self.do(user, command, **context)
        return caught.value.seq

    @property
    def mover(self) -> str:
        """Whose turn it is."""
        white = mover(self.state, plies(self.state))
        return self.state.white if white else self.state.black

    def play(self, *moves: str, each_ms: int = 0) -> None:
        """Play moves in turn, each after `each_ms`."""
        for uci in moves:
            self.now += each_ms
            self.do(self.mover, PlayMove(uci=uci))

    def view(self, *, san: bool = False) -> Mapping[str, Any]:
        """Look at the game."""
        return behaviour.view(
            self.state, behaviour.queries["state"](**({"san": True} if san else {})), None
        )


def seated(
    *,
    clock: ClockTerms | None = None,
    variant: Any = "standard",
    fen: str | None = None,
    seed: int = 1,
) -> Table:
    """Return a table with both players seated."""
    table = Table()
    create = CreateGame(variant=variant, fen=fen, color="white", clock=clock)
    table.do(ANN, create, seed=seed)
    table.do(BOB, JoinGame())
    return table


def replayed(records: Sequence[bytes]) -> Game:
    """Return the state that the log's records give."""
    state: Any = None
    for record in records:
        state = behaviour.evolve(state, decoder.decode(record))
    return state


def clock(initial: int = 300, increment: int = 0) -> ClockTerms:
    """Return a Fischer clock, in seconds."""
    return ClockTerms(initial=initial, increment=increment)
