"""Moves over HTTP in random games among very many: an open loop that times them."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass
from random import Random
from time import perf_counter

import msgspec

from bench.http import Answer, Pool, request
from bench.schedule import Schedule
from bench.tally import Tally
from bench.target import Target
from bench.users import User

_TICK_SECONDS = 0.001
_DRAIN_SECONDS = 10.0


@dataclass
class Probe:
    """A game to be gone on with: `moves` is all of its script, `ply` where it stands.

    `busy` while a move is under way, so that no second one overtakes it.
    """

    game: str
    players: tuple[User, User]
    moves: tuple[str, ...]
    ply: int
    busy: bool = False


class _Event(msgspec.Struct):
    ply: int = -1
    uci: str = ""


async def probe(target: Target, games: list[Probe], rate: float, seconds: float) -> Tally:
    """Make `rate` moves a second for `seconds` in random ones of `games`; return the tally.

    Its histogram is "move", from the scheduled moment to the answer, after the first second.
    """
    tally, pool, random = Tally(), Pool(target, 64), Random(len(games))
    tally.histogram("move")
    start = perf_counter()
    schedule, until = Schedule(rate, start), start + 1 + seconds
    out: set[int] = set()
    while schedule.next_due < until:
        for number, due in schedule.due(perf_counter(), until):
            if (game := _drawn(random, games)) is None:
                tally.errors["no game left to move in"] += 1
                continue
            out.add(number)
            text = {"uci": game.moves[game.ply], "ply": game.ply}
            token = game.players[game.ply & 1].token
            path, body = f"/games/{game.game}/moves", msgspec.json.encode(text)
            data = request(target, "POST", path, token, body)
            late = functools.partial(_answered, tally, out, number)
            pool.send(data, functools.partial(late, game, due if due > start + 1 else None))
        await asyncio.sleep(max(_TICK_SECONDS, schedule.next_due - perf_counter()))
    ended = perf_counter() + _DRAIN_SECONDS
    while out and perf_counter() < ended:  # noqa: ASYNC110 -- once, at the end
        await asyncio.sleep(0.01)
    if out:
        tally.errors["unanswered"] += len(out)
    pool.close()
    return tally


def _drawn(random: Random, games: list[Probe]) -> Probe | None:
    for _ in range(100):
        game = random.choice(games)
        if not game.busy and game.ply < len(game.moves):
            game.busy = True
            return game
    return None


def _answered(
    tally: Tally, out: set[int], number: int, game: Probe, due: float | None, answer: Answer
) -> None:
    out.discard(number)
    if due is not None:
        tally.histogram("move").record(perf_counter() - due)
    if answer.status != 200:
        tally.errors[str(answer.status)] += 1
        return  # it stays busy: nobody knows how it stands
    event = msgspec.json.decode(answer.body, type=_Event)
    if (event.ply, event.uci) != (game.ply, game.moves[game.ply]):
        tally.wrong["another event than the move's"] += 1
    game.ply += 1
    game.busy = False
