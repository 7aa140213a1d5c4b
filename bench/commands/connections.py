"""`gameshard bench connections`: many watchers, and whether bad clients delay the good ones."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.badclients import KINDS, BadJob
from bench.commands.options import URL, Json, Seconds, Url, Users, new_run
from bench.crew import Crew, Phase
from bench.crowd import CrowdJob
from bench.hall import HallJob
from bench.openfiles import allow_files
from bench.parts import Parts, Sample
from bench.results import exit_code, write
from bench.screen import console, grid
from bench.scripts import standard
from bench.server import shards
from bench.stage import Outcome, Work, perform
from bench.tally import total
from bench.target import target

_WORK = Work("connections", "moves", "move", lambda tally: tally.histogram("mover").count)
_ROUNDS = 2
_SETTLE_SECONDS = 3.0
_PERCENTS = (50.0, 99.0, 99.9)


def connections(
    url: Url = URL,
    sockets: Annotated[int, typer.Option(min=0, help="Watchers.")] = 1000,
    games: Annotated[int, typer.Option(min=1, help="Games they watch.")] = 100,
    pace: Annotated[float, typer.Option(min=0.1, help="Moves a second in all.")] = 200,
    bad: Annotated[str, typer.Option(help="vanish, stall, flood, all or none.")] = "all",
    bad_count: Annotated[int, typer.Option(min=1, help="Bad clients of each kind.")] = 100,
    bad_cpu: Annotated[
        float, typer.Option(min=0.01, help="The most of a core that the bad clients use.")
    ] = 0.5,
    under_load: Annotated[
        bool, typer.Option(help="Play while the sockets are open; else only hold them.")
    ] = True,
    seconds: Seconds = 40,
    users: Users = 200,
    json: Json = None,
) -> None:
    """Watch paced games over many sockets, with bad clients and without, by turns.

    Bad clients watch the same games: "vanish" breaks the connection off with a reset in the
    middle of a broadcast, "stall" stops reading, "flood" sends as fast as it can. Each is a user
    of its own and comes back when thrown out. They live in a process of their own that gives way
    to others (nice 10) and uses no more than --bad-cpu, because real ones would bring their own
    machines. The quiet and the bad phases alternate in one run, so that the machine's drift hits
    both. Exits with 1 if a good client lost, doubled or mistook an event.
    """
    kinds = {"all": KINDS, "none": ()}.get(bad, (bad,))
    if not set(kinds) <= set(KINDS):
        raise typer.BadParameter(f"{bad!r} is none of {', '.join(KINDS)}, all, none")
    allow_files(sockets + 4 * games + len(kinds) * bad_count + 200)
    empty = _sample(url)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "games"
        hall = HallJob(
            url, games, tuple(standard()), pace if under_load else 1e-9, users, run=new_run()
        )
        makes: list[Any] = [CrowdJob(hall, sockets, file)]
        if kinds:
            makes.append(BadJob(url, kinds, bad_count, file, bad_cpu))
        with Crew(makes) as crew:
            outcomes = perform(url, crew, _WORK, _phases(seconds, bad=bool(kinds)))
            full = _sample(url)
            crew.finish()
    _report(url, outcomes, _per_socket(empty, full, sockets + 2 * games), json)


def _phases(seconds: float, *, bad: bool) -> list[Phase]:
    if not bad:
        return [Phase("settling", _SETTLE_SECONDS), Phase("quiet", seconds)]
    each = seconds / (2 * _ROUNDS)
    phases: list[Phase] = []
    for turn in range(1, _ROUNDS + 1):
        # What the bad ones left behind must not count as quiet.
        phases += [Phase(f"settling {turn}", _SETTLE_SECONDS)]
        phases += [Phase(f"quiet {turn}", each), Phase(f"bad {turn}", each)]
    return phases


def _report(
    url: str, outcomes: list[Outcome], kib_per_socket: float | None, json: Path | None
) -> None:
    for outcome in outcomes:
        if outcome.phase.startswith("settling"):
            continue
        outcome.show(_WORK)
    ratios = _ratios(outcomes)
    if ratios:
        rows = [tuple(row.values()) for row in ratios]
        head = ("latency, ms", "percentile", "quiet", "with bad clients", "ratio")
        console.print(grid("what bad clients cost the others, in the same run", head, rows))
    if kib_per_socket is not None:
        console.print(f"gateways: {kib_per_socket} KiB of PSS a socket, with the load on it")
    tally = total(outcome.tally for outcome in outcomes)
    body = {"url": url, "ratios": ratios, "gateway_kib_per_socket": kib_per_socket}
    write("connections", body | {"phases": [o.summary() for o in outcomes]}, json)
    raise typer.Exit(exit_code(tally, errors_fail=False))


def _ratios(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    quiet = total(o.tally for o in outcomes if o.phase.startswith("quiet"))
    bad = total(o.tally for o in outcomes if o.phase.startswith("bad"))
    rows: list[dict[str, Any]] = []
    for who in ("mover", "opponent", "watcher"):
        if not quiet.histogram(who).count or not bad.histogram(who).count:
            continue
        for percent in _PERCENTS:
            without = quiet.histogram(who).percentile(percent) * 1e3
            with_them = bad.histogram(who).percentile(percent) * 1e3
            rows.append({
                "who": who, "percentile": f"p{percent:g}", "quiet_ms": round(without, 2),
                "bad_ms": round(with_them, 2), "ratio": round(with_them / without, 2),
            })  # fmt: skip
    return rows


def _sample(url: str) -> Sample | None:
    server = target(url)
    if not server.local:
        return None
    parts = Parts(shards(server))
    return parts.sample(memory=True) if parts.known else None


def _per_socket(before: Sample | None, after: Sample | None, sockets: int) -> float | None:
    if before is None or after is None or not sockets:
        return None
    return round((after.pss["gateway"] - before.pss["gateway"]) / sockets / 1024, 1)
