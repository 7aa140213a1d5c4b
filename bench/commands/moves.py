"""`gameshard bench moves`: concurrent games over WebSocket, replayed from a corpus."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import URL, Json, Processes, Seconds, Url, Users, Warmup, new_run
from bench.commands.replay import replay_all
from bench.crew import Crew, Phase
from bench.hall import HallJob
from bench.results import exit_code, write
from bench.scripts import Script, corpus, read_scripts, standard
from bench.stage import Outcome, Work, perform

WORK = Work("moves", "moves", "move", lambda tally: tally.histogram("mover").count)


def moves(
    url: Url = URL,
    games: Annotated[int, typer.Option(min=1, help="Games at a time, two sockets each.")] = 100,
    pace: Annotated[
        float | None, typer.Option(min=0.1, help="Moves a second in all, on a fixed schedule.")
    ] = None,
    seconds: Seconds = 30,
    warmup: Warmup = 3,
    pgn: Annotated[Path | None, typer.Option(help="Replay this file instead.", exists=True)] = None,
    all_endings: Annotated[
        bool, typer.Option("--all-endings", help="Variants, draws, claims, clocks as well.")
    ] = False,
    acks: Annotated[
        Path | None, typer.Option(help="Write down every acknowledgement, for `bench check`.")
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option("--replay-all", help="Play each game of FILE once, compare, and exit."),
    ] = None,
    processes: Processes = 1,
    users: Users = 200,
    json: Json = None,
) -> None:
    """Play moves over WebSocket and time them from the command to the event.

    "mover" is the time until the mover's own socket has the event, "opponent" until theirs has
    it. Without --pace each move follows the one before at once (closed loop). With it, moves are
    due on a schedule fixed in advance and latency counts from there. A socket that is lost is
    connected again and resumes; what was unanswered is sent again. Exits with 1 if an event was
    lost, doubled or wrong.
    """
    if replay is not None:
        # A game plays faster than one socket may send; many at a time keep below that limit.
        raise typer.Exit(replay_all(url, replay, max(games, 64), users, json))
    job = HallJob(
        url, games, chosen(pgn, all_endings), pace, users, acks, all_endings, all_endings,
        run=new_run(),
    )  # fmt: skip
    phases = [Phase("warm-up", warmup), Phase("measured", seconds)]
    outcome = play(job, processes, phases)[-1]
    outcome.show(WORK)
    options = {"games": games, "pace": pace, "pgn": pgn and pgn.name, "users": users}
    body = {"url": url, "options": options | {"all_endings": all_endings}}
    write("moves", body | outcome.summary(), json)
    raise typer.Exit(exit_code(outcome.tally, errors_fail=False))


def chosen(pgn: Path | None, all_endings: bool) -> tuple[Script, ...]:
    """Return what a load replays: a file, the whole corpus, or its standard games."""
    if pgn is not None:
        return tuple(read_scripts(pgn))
    return tuple(corpus() if all_endings else standard())


def play(job: HallJob, processes: int, phases: list[Phase]) -> list[Outcome]:
    """Run the load in as many processes; return what came of each phase."""
    jobs = [
        replace(job, games=games, share=share, shares=processes)
        for share in range(processes)
        if (games := len(range(share, job.games, processes)))
    ]
    with Crew(jobs) as crew:
        outcomes = perform(job.url, crew, WORK, phases)
        crew.finish()
    return outcomes
