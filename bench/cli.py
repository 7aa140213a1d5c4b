"""The commands of `gameshard bench`; `python -m bench` is the same."""

from __future__ import annotations

import typer

from bench.commands.check import check
from bench.commands.games import games
from bench.commands.moves import moves

app = typer.Typer(
    name="bench",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Measure a running server from outside: it needs only its URL.",
)
for command in (games, moves, check):
    app.command(name=command.__name__.replace("_", "-"))(command)
