"""The commands of `gameshard bench`; `python -m bench` is the same."""

from __future__ import annotations

import typer

from bench.commands.check import check
from bench.commands.connections import connections
from bench.commands.games import games
from bench.commands.memory import memory
from bench.commands.moves import moves
from bench.commands.peers import peers

app = typer.Typer(
    name="bench",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Measure a running server from outside: it needs only its URL.",
)
for command in (games, moves, connections, memory, peers, check):
    app.command(name=command.__name__.replace("_", "-"))(command)
