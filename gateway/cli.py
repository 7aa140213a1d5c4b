"""The command line: starts a system, and looks into one that runs."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from gateway import overview
from gateway.check import check
from gateway.consume_cli import app as consumers
from gateway.installed import DataDirectory, Running
from gateway.operator_cli import DEFAULT_DATA, Data
from gateway.operator_cli import app as operators
from gateway.run import RunError, RunOptions, run
from gateway.settings import GatewaySettings
from gateway.tier_reading import Away
from gateway.told import Source, tell
from persistence.kafka.stores import KafkaSettings
from runtime.behaviours import settable
from runtime.settings import OwnershipTiming, RaySettings, RouterSettings, ShardSettings

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="""Live games at scale: every game an actor, no acknowledged move lost.

    [bold]gameshard run[/bold] starts everything on this machine and prints the URL of a page to
    play on. The other commands look into a running system, found by its data directory.""",
)
console = Console()
errors = Console(stderr=True)

app.registered_commands += operators.registered_commands
app.add_typer(consumers, name="consume")
T = TypeVar("T", bound=msgspec.Struct)


def _settings(kind: type[T], prefix: str, **given: str) -> T:
    """Read a settings struct from the environment: GAMESHARD_<PREFIX>_<FIELD>; `given` is fixed."""
    fields = given | {
        field.name: os.environ[name]
        for field in msgspec.structs.fields(kind)
        if field.name not in given
        and (name := f"GAMESHARD_{prefix}_{field.name}".upper()) in os.environ
    }
    try:
        return msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _failure(
            f"A setting in the environment is wrong: GAMESHARD_{prefix}_…: {error}"
        ) from error


def _failure(message: str) -> typer.Exit:
    errors.print(f"[red]{message}[/red]", highlight=False, soft_wrap=True)
    return typer.Exit(1)


@app.command("run")
def run_command(
    data: Data = DEFAULT_DATA,
    host: Annotated[str, typer.Option(help="The address that players reach.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Its port; 0 takes a free one.")] = 8000,
    shards: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that hold games; default: as the last time, or 1."),
    ] = None,
    gateways: Annotated[int, typer.Option(min=1, help="Processes that players talk to.")] = 1,
    partitions: Annotated[
        int | None,
        typer.Option(min=1, help="Parts that games are spread over; fixed with the first start."),
    ] = None,
    dsn: Annotated[
        str | None,
        typer.Option(help="A Postgres to use instead of our own.", envvar="GAMESHARD_POSTGRES"),
    ] = None,
    full: Annotated[
        bool,
        typer.Option(
            help="Events go to a real Kafka, started here (needs Java); fixed as well. Hot state is"
            " in a Valkey, started here, too."
        ),
    ] = False,
    kafka: Annotated[
        str | None,
        typer.Option(
            help="Events go to this Kafka (HOST:PORT, ...); its topic, replication and min_insync"
            " are GAMESHARD_KAFKA_TOPIC and so on.",
            envvar="GAMESHARD_KAFKA",
        ),
    ] = None,
    redis: Annotated[
        str | None,
        typer.Option(
            help="A Redis (redis://...) for hot state: take-overs read less of the log. It may"
            " come, go and lose everything at any time.",
            envvar="GAMESHARD_REDIS",
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            help='Run in this Ray (HOST:PORT, or "auto"), which has a node on this machine, instead'
            " of one of our own; on which of its nodes, say GAMESHARD_RAY_GATEWAYS_ON and so on.",
            envvar="GAMESHARD_RAY",
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(help="Where the gateways are found, if not at --host and --port from here."),
    ] = None,
) -> None:
    """Start everything and run until Ctrl-C.

    All games are kept in the data directory; the next start on it finds every one of them.
    """
    options = RunOptions(
        data=data,
        host=host,
        port=port,
        shards=shards,
        gateways=gateways,
        partitions=partitions,
        dsn=dsn,
        kafka=_settings(KafkaSettings, "KAFKA", servers=kafka or "") if kafka or full else None,
        redis=redis or ("" if full else None),
        ray=_settings(RaySettings, "RAY", address=ray or ""),
        url=url.rstrip("/") if url else None,
        gateway=_settings(GatewaySettings, "GATEWAY"),
        shard=_settings(ShardSettings, "SHARD"),
        router=_settings(RouterSettings, "ROUTER"),
        ownership=_settings(OwnershipTiming, "OWNERSHIP"),
        games={kind: _settings(each, kind.upper()) for kind, each in settable().items()},
    )

    def say(what: str) -> None:
        verb = "" if what.startswith("stopping") else "starting "
        errors.print(f"[dim]{verb}{what} …[/dim]", highlight=False)

    def ready(url: str) -> None:
        print(f"gameshard is ready at {url}", flush=True)

    try:
        run(options, say, ready)
    except RunError as error:
        raise _failure(str(error)) from error


def _running(data: Path) -> Running:
    running = DataDirectory(data).running()
    if running is None:
        raise _failure(f"No gameshard runs on {data.resolve()}. Start one: gameshard run")
    return running


def _get(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310  (our own URL)
            return json.load(response)
    except urllib.error.HTTPError as error:
        detail = json.load(error).get("detail", error.reason)
        raise _failure(f"{url}: {error.code} {detail}") from error
    except OSError as error:
        raise _failure(f"{url}: {error}") from error


@app.command()
def status(data: Data = DEFAULT_DATA) -> None:
    """Say in a few lines whether the system is well."""
    running = _running(data)
    body = _get(f"{running.url}/shards")
    console.print(f"{running.url}  pid {running.pid}", highlight=False)
    for line in overview.lines(body):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if overview.owned(body) < body["partitions"]:
        raise typer.Exit(2)


@app.command()
def shards(data: Data = DEFAULT_DATA) -> None:
    """Show every shard: what it holds and how it's doing; and how far an operation is."""
    body = _get(f"{_running(data).url}/shards")
    console.print(overview.table(body))
    if body["unsettled"]:
        console.print(f"{body['unsettled']} partitions aren't where they belong yet")
    if body["operation"] is not None:
        console.print(overview.operation_line(body["operation"]), markup=False)


@app.command()
def replay(
    game: Annotated[str, typer.Argument(help="The game's id.")],
    source: Annotated[
        Source | None,
        typer.Option("--from", help="Show what this tier has; default: all, each event once."),
    ] = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Show a game's events, and compare what log, outbox, snapshots, Redis and players have."""
    try:
        told = asyncio.run(tell(_running(data), game))
    except Away as away:
        raise _failure(f"{away}.") from away
    events = [(0, event) for event in told.verdict.replay.events]
    if source is not None:
        if source not in told.events:
            away = told.away or [f"There is no {source} in this system"]
            raise _failure("\n".join(f"{each}." for each in away))
        events = list(told.events[source])
    if not events and not told.verdict.differs and not any(told.events.values()):
        raise _failure("\n".join([f"There is no game {game!r}.", *told.away]))
    for _, event in events:
        sys.stdout.write(event.decode() + "\n")
    for line in told.lines():
        errors.print(line, highlight=False, markup=False, soft_wrap=True)
    if told.verdict.differs:
        raise _failure("\n".join(f"wrong: {finding}" for finding in told.verdict.differs))
    if told.away:
        raise typer.Exit(1)


@app.command()
def doctor(data: Data = DEFAULT_DATA) -> None:
    """Check this machine, the data and the running system; say what to do about what's wrong."""
    sick = False
    for finding in check(DataDirectory(data)):
        sick = sick or not finding.well
        sign = "[green]ok[/green]  " if finding.well else "[red]sick[/red]"
        console.print(f"{sign}  {escape(finding.what)}", highlight=False, soft_wrap=True)
    if sick:
        raise typer.Exit(1)


def main() -> None:
    """Run the command line."""
    from bench.cli import app as bench  # noqa: PLC0415  (it's slow to import, and optional)

    app.add_typer(bench, name="bench", help="Measure a running system; needs only its URL.")
    app()


if __name__ == "__main__":
    main()
