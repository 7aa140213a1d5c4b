"""The naive baseline: one Ray actor a game, called through ray.get.

Each game is its own process with a python-chess board: the shape that "every game is an actor"
has without shards. It keeps nothing: a crash loses all. `python -m bench.peers.ray_naive` prints
its figures as one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from time import perf_counter, process_time
from typing import Any

import chess
import ray

from bench.parts import Parts, Shards, memory_of
from bench.scripts import standard


class Game:
    """One game: the whole actor."""

    def __init__(self) -> None:
        self._board = chess.Board()

    def pid(self) -> int:
        """Return the actor's process id, and thereby that it is ready."""
        return os.getpid()

    def play(self, uci: str) -> int:
        """Make a move and return its ply.

        Raises:
            chess.IllegalMoveError: If it isn't legal.
        """
        self._board.push(self._board.parse_uci(uci))
        return self._board.ply()


def main() -> None:
    """Run the baseline and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--games", type=int, default=20)
    parser.add_argument("--plies", type=int, default=40)
    options = parser.parse_args()
    # A cluster of its own: neither an address in the environment nor a dashboard.
    ray.init(
        address="local",
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        configure_logging=False,
    )
    try:
        figures = measure(options.games, options.plies)
    finally:
        ray.shutdown()
    json.dump(figures, sys.stdout)


def measure(games: int, plies: int) -> dict[str, Any]:
    """Create `games` actors, play `plies` moves in each, all games side by side."""
    scripts = [script.moves[:plies] for script in standard() if len(script.moves) >= plies]
    began = perf_counter()
    kind: Any = ray.remote(num_cpus=0)(Game)
    actors = [kind.remote() for _ in range(games)]
    pids: list[int] = ray.get([actor.pid.remote() for actor in actors])
    created = perf_counter() - began
    # Everything below this process is the system; the process itself only calls, like a client.
    everything = Parts(Shards(), [os.getpid()])
    before, began, own = everything.sample(), perf_counter(), process_time()
    for ply in range(plies):
        ray.get(
            [
                actor.play.remote(scripts[number % len(scripts)][ply])
                for number, actor in enumerate(actors)
            ]
        )
    seconds = perf_counter() - began
    own = process_time() - own
    cpu = sum(everything.sample().cpu.values()) - sum(before.cpu.values()) - own
    moves = games * plies
    return {
        "games": games,
        "games_per_second": round(games / created, 2),
        "moves_per_second": round(moves / seconds, 1),
        "cpu_us_per_move": round(cpu * 1e6 / moves, 1),
        "kib_per_game": round(sum(memory_of(pid)[1] for pid in pids) / games / 1024, 1),
    }


if __name__ == "__main__":
    main()
