"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

Url = Annotated[str, typer.Option(help="The server.")]
Seconds = Annotated[float, typer.Option(min=0.1, help="How long to measure.")]
Warmup = Annotated[float, typer.Option(min=0, help="Seconds of the same load before that.")]
Processes = Annotated[int, typer.Option(min=1, help="Load generators, each a process of its own.")]
Users = Annotated[int, typer.Option(min=2, help="Guests whose tokens are fetched first.")]
Json = Annotated[
    Path | None,
    typer.Option("--json", help="Where the figures go.  [default: bench-results/NAME-TIME.json]"),
]
URL = "http://127.0.0.1:8000"


def new_run() -> str:
    """Return a name that no run before had, for idempotency keys."""
    return os.urandom(6).hex()
