"""Scripts of commands near the boundaries, for properties: short games with everything in them."""

from __future__ import annotations

import random
from contextlib import suppress

from chess_table import ANN, BOB, EVE, Table, clock, seated

from actors.behaviour import Command, Deadline, Rejected, Repeated, Resume
from actors.chess.clock import next_deadline
from actors.chess.commands import (
    Abort,
    ClaimDraw,
    ClaimVictory,
    ClockTerms,
    Draw,
    JoinGame,
    PlayMove,
    Rematch,
    Resign,
    Takeback,
)
from actors.chess.moves import UCIS
from actors.chess.position import scratch_of
from actors.chess.state import settle
from actors.chess.variants import VARIANTS

CLOCKS = [None, clock(60, 2), clock(30), ClockTerms(days=1)]
MATE_NEAR = "7k/8/5K2/8/8/8/8/6Q1 w - - 140 100"


def start(rng: random.Random) -> Table:
    """Return a seated table of any variant and clock."""
    variant = rng.choice(list(VARIANTS))
    fen = MATE_NEAR if variant == "fromPosition" else None
    return seated(variant=variant, fen=fen, clock=rng.choice(CLOCKS), seed=rng.getrandbits(64))


def a_move(table: Table, rng: random.Random) -> Command:
    """Return a move that is legal now, seldom an earlier one."""
    state = table.state
    scratch = scratch_of(state.terms.variant)
    legal = [UCIS[move] for move in scratch.restore(settle(state)).generate_legal_moves()]
    ply = len(state.moves) // 2
    return PlayMove(
        uci=rng.choice(legal or ["a2a3"]), ply=rng.choice([None, ply, ply, ply, ply - 2])
    )


def a_command(table: Table, rng: random.Random) -> tuple[str | None, Command | Deadline | Resume]:
    """Return who sends what next."""
    if rng.random() < 0.7:
        return table.mover, a_move(table, rng)
    user = rng.choice([ANN, BOB, ANN, BOB, EVE])
    offer = rng.choice([{}, {}, {"accept": True}, {"accept": False}, {"accept": True, "offer": 5}])
    common: list[tuple[str | None, Command | Deadline | Resume]] = [
        (user, Draw(**offer)),
        (user, Takeback(**offer)),
        (user, Takeback(**offer)),
        (user, Rematch(**offer)),
        (user, ClaimDraw()),
        (user, ClaimVictory()),
        (user, JoinGame()),
        (None, Deadline()),
        (None, Resume(rng.randrange(1, 5_000))),
    ]
    final: list[tuple[str | None, Command | Deadline | Resume]] = [
        (user, Abort()),
        (user, Resign()),
    ]
    return rng.choice(final if rng.random() < 0.02 else common)


def step(table: Table, rng: random.Random) -> None:
    """Let some time pass, now and then nearly all of it, and do something."""
    deadline = next_deadline(table.state)
    if deadline is not None and rng.random() < 0.03:
        table.now = max(table.now, deadline - rng.randrange(-3, 600))
    else:
        table.now += rng.randrange(0, 1_500)
    user, command = a_command(table, rng)
    with suppress(Rejected, Repeated):
        table.do(user, command, rtt=rng.choice([0, 30, 900]), held=rng.choice([0, 0, 50]))


def played(seed: int, steps: int) -> Table:
    """Return the table after a script of `steps` commands."""
    rng = random.Random(seed)
    table = start(rng)
    for _ in range(steps):
        step(table, rng)
    return table
