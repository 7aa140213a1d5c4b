"""`gameshard bench peers`: the same work on other ways to host games, in one table."""

from __future__ import annotations

import json as jsonlib
import subprocess
import sys
from typing import Annotated, Any

import typer

from bench.commands.games import create
from bench.commands.memory import held
from bench.commands.moves import play
from bench.commands.options import URL, Json, Url, new_run
from bench.creations import CreationJob
from bench.crew import Phase
from bench.hall import HallJob
from bench.results import system_total, write
from bench.screen import console, grid
from bench.scripts import standard

_NAIVE_SECONDS = 600


def peers(
    url: Url = URL,
    naive_games: Annotated[int, typer.Option(min=1, help="Actors of the naive baseline.")] = 20,
    plies: Annotated[int, typer.Option(min=1, help="Moves in each of its games.")] = 40,
    games: Annotated[int, typer.Option(min=1, help="Games at a time on the server.")] = 200,
    seconds: Annotated[float, typer.Option(min=1, help="Of each load on the server.")] = 8,
    json: Json = None,
) -> None:
    """Compare with one Ray actor per game, on this machine, in the same run.

    The baseline is slow (about two games a second) and takes some 40 MB a game: its count is kept
    small, and the table says so. It stores nothing; the server stores every move before it
    answers. The baseline is called from Ray; the server's load comes over HTTP and WebSocket.
    """
    rows = [_ours(url, games, seconds), _naive(naive_games, plies)]
    head = ("", "games", "games/s", "moves/s", "us CPU a move", "KiB a game", "durable")
    keys = ("name", "games", "games_per_second", "moves_per_second", "cpu_us_per_move",
            "kib_per_game", "durable")  # fmt: skip
    console.print(grid("peers, in the same run", head, [[r.get(k) for k in keys] for r in rows]))
    console.print(
        f"The baseline had only {naive_games} games, each a process; gameshard's memory is the"
        " shards' growth over the games made here, its CPU all parts without the load generator."
    )
    write("peers", {"url": url, "rows": rows}, json)


def _ours(url: str, games: int, seconds: float) -> dict[str, Any]:
    before = held(url)
    phases = [Phase("warm-up", 1), Phase("measured", seconds)]
    creation, _ = create(CreationJob(url, None, 64, run=new_run()), 1, phases)
    after = held(url)
    moves = play(HallJob(url, games, tuple(standard()), run=new_run()), 1, phases)[-1]
    grown = after.live + after.passive - before.live - before.passive
    return {
        "name": "gameshard",
        "games": grown,
        "games_per_second": round(creation.done / creation.seconds, 1),
        "moves_per_second": round(moves.done / moves.seconds, 1),
        "cpu_us_per_move": None if moves.parts is None else system_total(moves.parts),
        "kib_per_game": round((after.pss - before.pss) / grown / 1024, 2) if grown else None,
        "durable": "yes",
    }


def _naive(games: int, plies: int) -> dict[str, Any]:
    console.print(f"the naive baseline: {games} Ray actors, {plies} moves each ...")
    command = [sys.executable, "-m", "bench.peers.ray_naive"]
    done = subprocess.run(
        [*command, "--games", str(games), "--plies", str(plies)],
        stdout=subprocess.PIPE,
        timeout=_NAIVE_SECONDS,
        check=True,
    )
    figures = jsonlib.loads(done.stdout.splitlines()[-1])
    return {"name": "one Ray actor a game", "durable": "no"} | figures
