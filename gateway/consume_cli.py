"""`gameshard consume`: programs that read the topic of events and do something with each, once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import psycopg
import typer
import uvloop
from rich.console import Console

from gateway.consume import Consuming, letters, redrive
from gateway.consume import archive as archive_games
from gateway.installed import DataDirectory
from persistence.kafka.consumed import Letter
from persistence.kafka.stores import KafkaSettings
from persistence.log import LogError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="""Read the topic of events in Kafka, and do something with each event, once.

    Any number of processes of one consumer share the partitions. What a consumer has done is noted
    in the same transaction of Postgres that does it, so a crash, a repeat or a move of a partition
    does nothing twice; docs/CONSUMERS.md tells how.""",
)
_console = Console(stderr=True)


class DeadLetters(StrEnum):
    """What to do with what couldn't be archived."""

    LIST = "list"
    REDRIVE = "redrive"


@app.callback()
def consume() -> None:
    """Read the topic of events in Kafka, and do something with each event, once."""


@app.command()
def archive(
    postgres: Annotated[
        str | None,
        typer.Option(help="The system's Postgres, by libpq's words.", envvar="GAMESHARD_POSTGRES"),
    ] = None,
    kafka: Annotated[
        str | None,
        typer.Option(help="Its Kafka: HOST:PORT, with commas.", envvar="GAMESHARD_KAFKA"),
    ] = None,
    data: Annotated[
        Path,
        typer.Option(
            help="Or the data directory of a system that runs here, which knows both.",
            envvar="GAMESHARD_DATA",
        ),
    ] = Path(".gameshard"),
    topic: Annotated[
        str, typer.Option(help="Where the events are.", envvar="GAMESHARD_KAFKA_TOPIC")
    ] = "game-events",
    replication: Annotated[
        int,
        typer.Option(help="Brokers that have a dead letter.", envvar="GAMESHARD_KAFKA_REPLICATION"),
    ] = 3,
    min_insync: Annotated[
        int,
        typer.Option(help="Brokers that acknowledge it.", envvar="GAMESHARD_KAFKA_MIN_INSYNC"),
    ] = 2,
    metrics_host: Annotated[str, typer.Option(help="Where /metrics is.")] = "127.0.0.1",
    metrics_port: Annotated[
        int | None, typer.Option(help="Its port; 0 takes a free one, none: no metrics.")
    ] = None,
    from_beginning: Annotated[
        bool,
        typer.Option(
            "--from-beginning", help="All that Kafka still has; what's archived stays as it is."
        ),
    ] = False,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="End when all is done that's there now.")
    ] = False,
    dead_letters: Annotated[
        DeadLetters | None,
        typer.Option(
            help="Don't consume: list what couldn't be archived, and why; or, once the cause is"
            " mended, try it again."
        ),
    ] = None,
) -> None:
    """Keep every game that ends for good, in the table [bold]archive[/bold].

    Who played, how it ended, how many moves, and the whole game as its kind exports it (chess: PGN
    with ids for names). It runs until Ctrl-C or SIGTERM, finishes what is under way, and the next
    time goes on from there. While Kafka or Postgres is away, it waits.

    A game that can't be archived goes to the topic [bold]TOPIC.dead-letters.archive[/bold] with the
    reason in its headers, and the others go on.

    For example:

        gameshard consume archive --data .gameshard --metrics-port 9400

        gameshard consume archive --postgres "host=db dbname=games" --kafka k1:9092,k2:9092

        gameshard consume archive --dead-letters list
    """
    found = KafkaSettings(
        servers=kafka or "", topic=topic, replication=replication, min_insync=min_insync
    )
    dsn, found = _stores(data, postgres, found)
    consuming = Consuming(
        dsn=dsn,
        kafka=found,
        metrics=None if metrics_port is None else (metrics_host, metrics_port),
        from_beginning=from_beginning,
        until_end=until_end,
    )
    try:
        if dead_letters is DeadLetters.LIST:
            _show(asyncio.run(letters(consuming, "archive")))
        elif dead_letters is DeadLetters.REDRIVE:
            _redrive(consuming)
        else:
            counts = uvloop.run(archive_games(consuming, _say))
            _say(f"archived {counts.settled} games, {counts.dead_letters} dead letters")
    except psycopg.ProgrammingError as error:
        raise _failure(
            f"This Postgres lacks our tables ({str(error).splitlines()[0]}). Start this version's"
            " `gameshard run` on it once."
        ) from error
    except (LogError, OSError) as error:
        raise _failure(str(error)) from error


def _stores(data: Path, postgres: str | None, kafka: KafkaSettings) -> tuple[str, KafkaSettings]:
    """Return where Postgres and Kafka are: as given, or as the running system has them."""
    if postgres is not None and kafka.servers:
        return postgres, kafka
    if postgres is not None or kafka.servers:
        raise _failure("Give both --postgres and --kafka, or neither and --data.")
    running = DataDirectory(data).running()
    if running is None:
        raise _failure(
            f"No gameshard runs on {data.resolve()}. Say where: --postgres DSN --kafka HOST:PORT."
        )
    if running.kafka is None:
        raise _failure("Its events are in Postgres, not in Kafka: there's no topic to read.")
    return running.dsn, running.kafka


def _show(found: list[Letter]) -> None:
    for letter in found:
        at = datetime.fromtimestamp(letter.at / 1000, UTC).isoformat(timespec="seconds")
        what = f"{letter.game}:{letter.seq}" if letter.game else "?"
        typer.echo(f"{at}  {letter.place.partition}/{letter.place.offset}  {what}  {letter.reason}")
    _say(f"{len(found)} dead letters wait")


def _redrive(consuming: Consuming) -> None:
    done, failed = asyncio.run(redrive(consuming, _say))
    _say(f"{done} archived, {failed} still wait")
    if failed:
        raise typer.Exit(1)


def _say(what: str) -> None:
    _console.print(what, highlight=False, markup=False, soft_wrap=True)


def _failure(message: str) -> typer.Exit:
    _console.print(f"[red]{message}[/red]", highlight=False, soft_wrap=True)
    return typer.Exit(1)


if __name__ == "__main__":
    app()
