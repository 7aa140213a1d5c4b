"""`gameshard bench games`: how many games a second can be created, and how fast one is."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from bench.commands.options import URL, Json, Processes, Seconds, Url, Users, Warmup, new_run
from bench.creations import CreationJob
from bench.crew import Crew, Phase
from bench.results import exit_code, write
from bench.screen import console
from bench.stage import Outcome, Work, perform

WORK = Work("new games", "games", "game", lambda tally: tally.counts["games"])


def games(
    url: Url = URL,
    rate: Annotated[
        float, typer.Option(min=0.1, help="Games a second, on a fixed schedule.")
    ] = 500,
    seconds: Seconds = 30,
    warmup: Warmup = 3,
    closed: Annotated[
        bool, typer.Option("--closed", help="A closed loop instead: the next when one is done.")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at a time, closed loop.")] = 64,
    connections: Annotated[int, typer.Option(min=1, help="At most, open loop.")] = 128,
    processes: Processes = 1,
    users: Users = 200,
    keys: Annotated[bool, typer.Option("--keys", help="Give each an Idempotency-Key.")] = False,
    verify: Annotated[str, typer.Option(help="Read back a 'sample' of 500, or 'all'.")] = "sample",
    json: Json = None,
) -> None:
    """Create games over HTTP and read them back.

    The schedule is fixed in advance and latency counts from it, so a server that stalls pays for
    every game that was due meanwhile. Exits with 1 if any request failed or any game is missing.
    """
    job = CreationJob(
        url,
        None if closed else rate,
        max(1, concurrency // processes),
        max(1, connections // processes),
        users,
        keys,
        verify == "all",
        run=new_run(),
    )
    phases = [Phase("warm-up", warmup), Phase("measured", seconds)]
    outcome, read = create(job, processes, phases)
    outcome.show(WORK)
    console.print(f"read back: {read:,} games, wrong: {dict(outcome.tally.wrong) or 'none'}")
    options = {"rate": job.rate, "closed": closed, "concurrency": concurrency, "users": users}
    body = {"url": url, "options": options | {"keys": keys}, "read_back": read}
    write("games", body | outcome.summary(), json)
    raise typer.Exit(exit_code(outcome.tally, errors_fail=True))


def create(job: CreationJob, processes: int, phases: list[Phase]) -> tuple[Outcome, int]:
    """Run the load; return the last phase's outcome and how many games were read back."""
    jobs = [replace(job, share=share, shares=processes) for share in range(processes)]
    with Crew(jobs) as crew:
        outcome = perform(job.url, crew, WORK, phases)[-1]
        console.print("reading back ...")
        read = 0
        for count, wrong in crew.finish():
            read += count
            outcome.tally.wrong.update(wrong)
    return outcome, read
