"""`gameshard bench faults`: many faults on a system of our own, and a scorecard of them."""

from __future__ import annotations

import math
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from bench.commands.options import new_run
from bench.faults.campaign import Campaign, Terms, usable
from bench.faults.inspection import Run
from bench.faults.kinds import VERBS, Fault, read_faults
from bench.faults.scorecard import HEAD, Played, read, rows, write
from bench.faults.system import System
from bench.openfiles import allow_files
from bench.screen import console, grid
from bench.scripts import standard

_FAULTS = (
    "shard-kill,shard-stop,shard-cut,gateway-kill,gateway-stop,coordinator-kill,coordinator-stop,"
    "coordinator-cut,kafka-kill,kafka-stop,kafka-slow,kafka-cut,valkey-kill,valkey-stop,"
    "postgres-kill,postgres-stop,postgres-slow,postgres-cut,shard-step,coordinator-step,"
    "shard-kill+kafka-kill,shard-kill+postgres-kill,shard-kill+valkey-kill,shard-stop+kafka-stop,"
    "gateway-kill+shard-kill,coordinator-kill+shard-kill,kafka-kill+postgres-kill,"
    "shard-step+shard-kill,kafka-cut+shard-kill"
)


def faults(
    seed: Annotated[int, typer.Option(help="Decides what is done in which run, and to whom.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="How many runs.")] = 60,
    first: Annotated[int, typer.Option(min=1, help="The number of the first.")] = 1,
    games: Annotated[int, typer.Option(min=2, help="Live games; the moves touch all.")] = 200,
    pace: Annotated[float, typer.Option(min=1, help="Moves a second in all.")] = 200,
    kinds: Annotated[
        str,
        typer.Option(
            "--faults",
            help=f"Who-what, ...; a + for two at once. Whats: {', '.join(VERBS)}.",
        ),
    ] = _FAULTS,
    full: Annotated[
        bool, typer.Option("--full/--embedded", help="The real services, or Postgres alone.")
    ] = True,
    scorecard: Annotated[
        Path, typer.Option(help="The page. The published one is docs/FAULTS.md.")
    ] = Path("bench-results/faults.md"),
    json: Annotated[
        Path | None, typer.Option(help="The runs.  [default: beside the page, .json]")
    ] = None,
    within: Annotated[
        float | None, typer.Option(min=1, help="Seconds after which no more run is begun.")
    ] = None,
    append: Annotated[
        bool, typer.Option("--append", help="Keep the runs that are there already.")
    ] = False,
) -> None:
    """Do faults to a system that is started for it, and compare after each all that was heard.

    The page and the runs are written after every run. Exits with 1 if anything was lost,
    duplicated, forked, charged or unanswered, and with 3 if a run proved nothing.
    """
    try:
        asked = read_faults(kinds)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    allow_files(4 * games + 500)
    signal.signal(signal.SIGTERM, _end)
    json = json or scorecard.with_suffix(".json")
    before = read(json) if append else []
    mine = Played(
        shlex.join(["gameshard", "bench", *(word for word in sys.argv[1:] if word != "bench")]), []
    )
    terms = Terms(games, pace, seed, "kafka" if full else "postgres", tuple(standard()), new_run())
    until = perf_counter() + (within or math.inf)

    def told(run: Run) -> None:
        if run not in mine.runs:
            mine.runs.append(run)
        write(scorecard, json, [*before, mine])

    left = list(range(first, first + rounds))
    while left and perf_counter() < until:
        done = _on_a_new_system(terms, asked, left, told, until)
        left = left[done:]
    console.print(grid("faults", HEAD, rows(mine.runs)))
    for run in mine.runs:
        for line in run.found:
            console.print(f"  run {run.number}, {run.fault}: {line}", markup=False)
    console.print(f"scorecard: {scorecard}; runs: {json}")
    if not all(run.good for run in mine.runs):
        raise typer.Exit(1)
    raise typer.Exit(3 if any(run.failed for run in mine.runs) else 0)


def _end(number: int, _: object) -> None:
    """End in order: the system that was started for the runs ends with them."""
    raise SystemExit(128 + number)


def _on_a_new_system(
    terms: Terms,
    asked: Sequence[Fault],
    numbers: Sequence[int],
    told: Campaign.Told,
    until: float,
) -> int:
    """Do runs until all are done or the system is beyond help; return how many were done."""
    options = ["--shards", "2", "--gateways", "2", "--partitions", "8"]
    if terms.log == "kafka":
        options.insert(0, "--full")
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postgres runs as another user
        console.print("starting a system ...")
        with System(folder, options) as system:
            campaign = Campaign(system, terms, folder / "ledger", told)
            return campaign.run(usable(asked, system), numbers, until)
