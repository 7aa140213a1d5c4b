"""The commands of `gameshard bench`; `python -m bench` is the same."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import typer

from bench.commands.check import check
from bench.commands.connections import connections
from bench.commands.faults import faults
from bench.commands.games import games
from bench.commands.memory import memory
from bench.commands.moves import moves
from bench.commands.peers import peers
from bench.commands.recovery import recovery
from bench.crew import CrewError
from bench.faults.victims import NotHereError
from bench.http import UnansweredError
from bench.screen import console
from bench.scripts import BrokenGameError
from bench.server import UnreachableError

app = typer.Typer(
    name="bench",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Measure a running server from outside: it needs only its URL.",
)


def _plainly(command: Callable[..., None]) -> Callable[..., None]:
    """Have what can go wrong in a run said in a line, with exit code 2, not as a traceback."""

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except (
            BrokenGameError,
            CrewError,
            NotHereError,
            UnansweredError,
            UnreachableError,
        ) as error:
            console.print(f"bench {command.__name__}: {error}", markup=False)
            raise typer.Exit(2) from error

    return run


for command in (games, moves, connections, memory, recovery, faults, peers, check):
    app.command(name=command.__name__)(_plainly(command))
