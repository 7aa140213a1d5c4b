"""`gameshard bench memory`: what a live game costs, and whether latency stays flat with more."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from time import monotonic
from time import sleep as pause
from typing import Annotated, Any, NamedTuple

import typer
import uvloop

from bench.commands.options import URL, Json, Url, Users, new_run
from bench.crew import Crew, Phase
from bench.endings import LEFT
from bench.hall import HallJob
from bench.house import Ended
from bench.parts import Shard, memory_of
from bench.probe import Probe, probe
from bench.results import write
from bench.screen import console, grid
from bench.scripts import Script, standard
from bench.server import shards
from bench.stage import Work, perform
from bench.tally import Tally
from bench.target import target

_WORK = Work("filling", "games", "game", lambda tally: tally.counts["games over"])
_STAGES = (1_000, 10_000, 100_000, 1_000_000)
_AT_A_TIME = 256


class Held(NamedTuple):
    """What the shards hold: live and passivated games by their own count, memory in bytes."""

    live: int
    passive: int
    rss: int
    pss: int


def memory(
    url: Url = URL,
    games: Annotated[int, typer.Option(min=10, help="How many live games in the end.")] = 10_000,
    plies: Annotated[int, typer.Option(min=0, help="How far each is played.")] = 40,
    probe_rate: Annotated[float, typer.Option(min=1, help="Moves a second of each probe.")] = 300,
    probe_seconds: Annotated[float, typer.Option(min=0, help="How long; 0: no probe.")] = 5,
    passivation_wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait until idle games are passivated.")
    ] = 0,
    users: Users = 200,
    json: Json = None,
) -> None:
    """Fill the shards with games and report their growth in memory per game.

    At 1,000, 10,000 ... games it also times moves in random games among all of them (open loop,
    over HTTP), to show whether latency depends on how many live. The growth is that of the shards'
    processes, allocator and all. A shard that passivates idle games sooner than they are made will
    show both kinds: the table has the server's own counts.
    """
    scripts = [script for script in standard() if len(script.moves) >= plies + 2]
    if not scripts:
        raise typer.BadParameter(f"no game of the corpus is longer than {plies} plies")
    base = held(url)
    left: list[Ended] = []
    rows: list[dict[str, Any]] = []
    for stage in [*(each for each in _STAGES if each < games), games]:
        left += _fill(url, scripts, stage - len(left), plies, users)
        rows.append(_row(stage, base, held(url)))
        rows[-1] |= _probed(url, left, plies, probe_rate, probe_seconds)
    passive = _passivated(url, base, games, passivation_wait)
    _show(rows, passive)
    body = {"url": url, "base": base._asdict(), "stages": rows, "passivated": passive}
    write("memory", body | {"plies": plies}, json)
    raise typer.Exit(1 if any(row.get("wrong") for row in rows) else 0)


def held(url: str) -> Held:
    """Return what all shards hold now."""
    found: Sequence[Shard] = shards(target(url)).shards
    sizes = [memory_of(shard.pid) for shard in found]
    return Held(
        sum(shard.games for shard in found),
        sum(shard.passive_games for shard in found),
        sum(rss for rss, _ in sizes),
        sum(pss for _, pss in sizes),
    )


def _fill(url: str, scripts: list[Script], count: int, plies: int, users: int) -> list[Ended]:
    """Create `count` games, play each `plies` far, and leave them."""
    cut = [script._replace(moves=script.moves[:plies], ending=LEFT) for script in scripts]
    wanted = tuple(cut[number % len(cut)] for number in range(count))
    job = HallJob(url, min(_AT_A_TIME, count), wanted, users=users, once=True, run=new_run())
    with Crew([job]) as crew:
        outcome = perform(url, crew, _WORK, [Phase(f"{count:,} games", float("inf"))])[0]
        made: list[Ended] = crew.finish()[0]
    console.print(f"{len(made):,} games made in {outcome.seconds:.1f} s")
    gc.collect()
    return [each for each in made if each.game]


def _row(stage: int, base: Held, now: Held) -> dict[str, Any]:
    grown = now.live + now.passive - base.live - base.passive
    return {
        "games": stage,
        "live": now.live - base.live,
        "passive": now.passive - base.passive,
        "pss_mb": round(now.pss / 1e6, 1),
        "bytes_per_game": round((now.pss - base.pss) / grown) if grown > 0 else None,
    }


def _probed(url: str, left: list[Ended], plies: int, rate: float, seconds: float) -> dict[str, Any]:
    if not seconds:
        return {}
    originals = {script.name: script for script in standard()}
    games = [Probe(e.game, e.players, originals[e.script.name].moves, plies) for e in left]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        tally: Tally = runner.run(probe(target(url), games, rate, seconds))
    return tally.histogram("move").summary() | {
        "errors": dict(tally.errors),
        "wrong": dict(tally.wrong),
    }


def _passivated(url: str, base: Held, games: int, wait: float) -> dict[str, Any] | None:
    """Wait until 95 % of the games are passivated; None if they are not in time."""
    until = monotonic() + wait
    while (now := held(url)).passive - base.passive < 0.95 * games:
        if monotonic() >= until:
            return None
        pause(0.5)
    return _row(games, base, now)


def _show(rows: list[dict[str, Any]], passive: dict[str, Any] | None) -> None:
    names = ("games", "live", "passive", "pss_mb", "bytes_per_game", "p50", "p95", "p99", "max")
    head = ("games", "live", "passive", "PSS MB", "bytes a game", "p50 ms", "p95", "p99", "max")
    console.print(grid("memory and latency", head, [[r.get(n) for n in names] for r in rows]))
    for row in rows:
        if row.get("errors") or row.get("wrong"):
            console.print(f"at {row['games']:,}: errors {row['errors']}, wrong {row['wrong']}")
    if passive is None:
        console.print("passivated games: not measured (the shards hold them live this long)")
    else:
        console.print(f"passivated: {passive['bytes_per_game']} bytes a game, {passive}")
