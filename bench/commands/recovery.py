"""`gameshard bench recovery`: what games notice of faults and of operators, under load."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from bench.aftermath import measure
from bench.commands.options import URL, Json, Processes, Url, Users, Warmup, new_run
from bench.commands.recovered import report
from bench.crew import Crew, Phase
from bench.faults.harm import Tools
from bench.faults.kinds import Fault, read_faults
from bench.faults.victims import NotHereError, strangers
from bench.hall import HallJob
from bench.ledger import read_ledger
from bench.openfiles import allow_files
from bench.proc import command, stats
from bench.saboteur import Round, Saboteur, Timing, outcome
from bench.screen import Screen, console
from bench.scripts import standard
from bench.server import UnreachableError, shards
from bench.siege import SiegeJob, new_event
from bench.tally import Tally, total
from bench.target import Target, target

_TIMING = Timing()


def recovery(
    url: Url = URL,
    games: Annotated[
        int, typer.Option(min=1, help="Live games; the moves touch all in turn.")
    ] = 1000,
    pace: Annotated[float, typer.Option(min=0.1, help="Moves a second in all.")] = 500,
    fault: Annotated[
        str,
        typer.Option(
            help="Who, a hyphen, and what: shard-kill,postgres-stop, ...; a + for two at once."
        ),
    ] = "shard-kill,shard-stop,gateway-kill,coordinator-kill",
    rounds: Annotated[int, typer.Option(min=1, help="How often all of that is done.")] = 1,
    during: Annotated[
        list[str] | None,
        typer.Option(help="Run this shell command instead of faults; can be given repeatedly."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides whom a fault hits, and when.")] = 1,
    watch: Annotated[
        float, typer.Option(min=1, help="Seconds that each fault is watched at least.")
    ] = _TIMING.watch,
    stopped: Annotated[
        float, typer.Option(min=0.5, help="Seconds after which what was stopped is continued.")
    ] = _TIMING.stopped,
    per_socket: Annotated[int, typer.Option(min=1, help="Games that share a socket.")] = 20,
    warmup: Warmup = 3,
    processes: Processes = 1,
    users: Users = 200,
    ledger: Annotated[
        Path | None, typer.Option(help="Keep here what every socket was told, line by line.")
    ] = None,
    json: Json = None,
) -> None:
    """Hit a system under a paced load, and compare all that clients heard with what it stored.

    Processes are found by GET /shards and get SIGKILL ("-kill"), or SIGSTOP and later SIGCONT
    ("-stop"), so the server must run on this machine. "node" is a raylet with shards on it but
    without the coordinator. A command of --during is measured the same way.

    A game's gap is its slowest command around the fault, from when it was due to its event. "hit"
    are the games of partitions that the victim owned or that changed their owner or epoch, "cut
    off" those of which a socket was lost. "partitions silent" is the time from the blow until each
    hit partition answered a command due after it, "partitions, slowest" each hit partition's
    slowest command.

    Every event that came to any socket is kept. At the end all of it is compared with the log
    and with the games. Exits with 1 if anything was lost, repeated, out of order, missed or
    another one, and with 3 if a round proved nothing.
    """
    server = target(url)
    plan: list[Fault | str] = [*(during or _faults(fault))] * rounds
    partitions = _check_here(server, plan)
    allow_files(4 * games // per_socket + 500)
    timing = Timing(watch=watch, stopped=stopped)
    hall = HallJob(
        url, games, tuple(standard()), pace, users, ledger=ledger, per_socket=per_socket,
        shares=processes, run=new_run(),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        if ledger is None:
            hall = replace(hall, ledger=Path(folder) / "ledger")
        elif ledger.exists():
            raise typer.BadParameter(f"{ledger} is there already")
        assert hall.ledger is not None
        done, tally = _besiege(server, hall, plan, seed, timing, warmup)
        found = read_ledger(hall.ledger)
    options = {"games": games, "pace": pace, "plan": [str(each) for each in plan], "seed": seed}
    options |= {"per_socket": per_socket, "processes": processes, "watch": watch}
    body = {"url": server.url, "options": options | {"stopped": stopped}}
    raise typer.Exit(report(server, body, measure(done, found, partitions), tally, found, json))


def _faults(text: str) -> list[Fault]:
    try:
        return read_faults(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _check_here(server: Target, plan: Sequence[Fault | str]) -> int:
    """Return how many partitions there are; refuse to send a signal to what isn't the server's.

    Raises:
        NotHereError: If the server, or one of its processes, isn't on this machine.
        UnreachableError: If it doesn't say.
    """
    faults = not all(isinstance(each, str) for each in plan)
    if faults and not server.local:
        raise NotHereError(
            f"{server.url} isn't on this machine: faults are signals to its processes. "
            "Run this where the server runs, with a URL of 127.0.0.1."
        )
    found = shards(server)
    if faults and (strange := strangers(found, stats(), command)):
        named = ", ".join(f"{role} {pid}" for pid, role in sorted(strange.items()))
        raise NotHereError(
            f"{server.url} names processes that are no gameshard's of this machine: {named}. "
            "Is it a tunnel, or a container with pids of its own?"
        )
    if not found.partitions:
        raise UnreachableError(f"{server.url}/shards names no partitions")
    return found.partitions


def _besiege(
    server: Target,
    hall: HallJob,
    plan: Sequence[Fault | str],
    seed: int,
    timing: Timing,
    warmup: float,
) -> tuple[list[Round], Tally]:
    """Run the load and, in the middle of it, the plan; return the rounds and the load's counts."""
    over = new_event()
    jobs = [
        SiegeJob(replace(hall, games=share_of, share=share), over)
        for share in range(hall.shares)
        if (share_of := len(range(share, hall.games, hall.shares)))
    ]

    def told(one: Round) -> bool:
        console.print(outcome(one))
        return True

    numbered = list(enumerate(plan, 1))
    saboteur = Saboteur(server, numbered, seed, timing, Tools(), told, over.set)

    def begin(phase: str) -> None:
        if phase == "faults":
            saboteur.start()

    with Crew(jobs) as crew:
        with Screen("recovery", "moves", lambda tally: tally.histogram("mover").count) as screen:
            crew.prepare()
            phases = [Phase("warm-up", warmup), Phase("faults", float("inf"))]
            results = crew.run(phases, screen.update, begin)
        crew.finish()
    return saboteur.result(), total(result.tally for result in results)
