"""The operators' verbs: scale, drain, weigh, rebalance, restart, against a running system."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from msgspec import Struct
from rich.console import Console

from gateway.installed import DataDirectory
from gateway.operators import operator_token
from runtime.operations import Drain, Progress, Rebalance, Restart, Scale, Verb, Weigh

Data = Annotated[
    Path,
    typer.Option(help="Where everything that must survive is kept.", envvar="GAMESHARD_DATA"),
]
DEFAULT_DATA = Path(".gameshard")
_Url = Annotated[
    str | None,
    typer.Option(help="A gateway of a system elsewhere.", envvar="GAMESHARD_URL"),
]
_Token = Annotated[
    str | None,
    typer.Option(help="Its operators' token.", envvar="GAMESHARD_OPERATOR_TOKEN"),
]
_Shard = Annotated[str, typer.Argument(help="The shard's name, as in `gameshard shards`.")]
_PAUSE_S = 0.2
_PATIENCE_S = 30.0

app = typer.Typer()
_console = Console(stderr=True)


class _Target(Struct, frozen=True):
    url: str
    token: str


def _target(data: Path, url: str | None, token: str | None) -> _Target:
    if url is not None:
        if token is None:
            raise _failure("With --url the operators' token is needed: --token.")
        return _Target(url.rstrip("/"), token)
    directory = DataDirectory(data)
    running = directory.running()
    if running is None:
        raise _failure(f"No gameshard runs on {data.resolve()}. Start one: gameshard run")
    return _Target(running.url, operator_token(directory.secret()))


def _failure(message: str) -> typer.Exit:
    _console.print(f"[red]{message}[/red]", highlight=False, soft_wrap=True)
    return typer.Exit(1)


def _call(target: _Target, path: str, body: bytes | None = None) -> Any:
    request = urllib.request.Request(  # noqa: S310  (the operator's own URL)
        f"{target.url}{path}", body, {"Authorization": f"Bearer {target.token}"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        return json.load(response)


def _operate(target: _Target, verb: Verb) -> None:
    """Begin an operation and show how it goes, until it's over."""
    try:
        _call(target, "/operations", msgspec.json.encode(verb))
    except urllib.error.HTTPError as error:
        raise _failure(json.load(error).get("detail", error.reason)) from error
    except OSError as error:
        raise _failure(f"{target.url}: {error}") from error
    begun = time.monotonic()
    with _console.status("…") as status:
        progress = _wait(target, status.update)
    seconds = time.monotonic() - begun
    if progress.state == "failed":
        raise _failure(f"{progress.verb} failed: {progress.detail}.")
    _console.print(f"{progress.verb} done in {seconds:.1f} s", highlight=False)


def _wait(target: _Target, show: Any) -> Progress:
    answered = time.monotonic()
    while True:
        try:
            found = _call(target, "/shards")["operation"]
            answered = time.monotonic()
        except OSError as error:  # a gateway, or the coordinator, is just being restarted
            if time.monotonic() - answered > _PATIENCE_S:
                raise _failure(f"{target.url} doesn't answer any more: {error}") from error
            time.sleep(_PAUSE_S)
            continue
        if found is None:
            raise _failure("The coordinator began anew meanwhile; see `gameshard status`.")
        progress = msgspec.convert(found, Progress)
        if progress.state != "running":
            return progress
        left = f"; {progress.left} of {progress.of} partitions to go" if progress.left else ""
        show(f"{progress.verb}: {progress.detail}{left}")
        time.sleep(_PAUSE_S)


@app.command()
def scale(
    count: Annotated[int, typer.Argument(min=1, help="How many shards there shall be.")],
    data: Data = DEFAULT_DATA,
    url: _Url = None,
    token: _Token = None,
) -> None:
    """Have COUNT shards. New ones get their share; leavers are emptied before they end."""
    _operate(_target(data, url, token), Scale(count))


@app.command()
def drain(
    shard: _Shard,
    undo: Annotated[bool, typer.Option("--undo", help="Let it have its share again.")] = False,
    data: Data = DEFAULT_DATA,
    url: _Url = None,
    token: _Token = None,
) -> None:
    """Move every game off SHARD, for instance before its machine is taken away."""
    _operate(_target(data, url, token), Drain(shard, undo))


@app.command()
def weigh(
    shard: _Shard,
    weight: Annotated[float, typer.Argument(min=0.01, help="1 is an ordinary machine.")],
    data: Data = DEFAULT_DATA,
    url: _Url = None,
    token: _Token = None,
) -> None:
    """Give SHARD more or fewer partitions than the others, for unlike machines."""
    _operate(_target(data, url, token), Weigh(shard, weight))


@app.command()
def rebalance(
    move: Annotated[
        list[str] | None,
        typer.Option(help="PARTITION:SHARD pins a partition there, whatever the ring says."),
    ] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Leave all to the ring again.")] = False,
    data: Data = DEFAULT_DATA,
    url: _Url = None,
    token: _Token = None,
) -> None:
    """Move partitions off a hot shard by hand, or (--reset) back to where the ring wants them."""
    moves: list[tuple[int, str]] = []
    for each in move or ():
        partition, _, shard = each.partition(":")
        if not partition.isdecimal() or not shard:
            raise typer.BadParameter(f"{each!r} isn't PARTITION:SHARD")
        moves.append((int(partition), shard))
    if not moves and not reset:
        raise typer.BadParameter("say what to move (--move 3:shard-1), or --reset")
    _operate(_target(data, url, token), Rebalance(moves, reset))


@app.command()
def restart(data: Data = DEFAULT_DATA, url: _Url = None, token: _Token = None) -> None:
    """Restart all shards and gateways, one after another, as a new version needs it."""
    _operate(_target(data, url, token), Restart())
