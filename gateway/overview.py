"""What `gameshard status` and `gameshard shards` show of the body of GET /shards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table

Body = dict[str, Any]


def owned(body: Body) -> int:
    """Return how many partitions have an owner that answers."""
    return len({partition["id"] for shard in _living(body) for partition in shard["partitions"]})


def lines(body: Body) -> Iterator[str]:
    """Yield a system's state in a few lines: the usual first, then what is out of the ordinary."""
    shards, living = body["shards"], _living(body)
    yield (
        f"{len(living)} of {len(shards)} shards serve {owned(body)} of {body['partitions']}"
        f" partitions; {sum(shard['games'] for shard in living)} live games,"
        f" {sum(shard['moves_per_second'] for shard in living):.0f} events a second"
    )
    if body["unsettled"]:
        yield f"{body['unsettled']} partitions aren't where they belong yet"
    if (failed := sum(shard["failed_games"] for shard in shards)) > 0:
        yield f"{failed} games in quarantine; see: gameshard doctor"
    for shard in shards:
        if words := _state(shard):
            yield f"{shard['name']}: {words}"
    if (operation := body["operation"]) is not None and operation["state"] != "done":
        yield operation_line(operation)


def operation_line(operation: dict[str, Any]) -> str:
    """Return how far an operation is."""
    detail = f": {operation['detail']}" if operation["detail"] else ""
    left = f"; {operation['left']} of {operation['of']} partitions to go" * bool(operation["left"])
    return f"{operation['verb']} {operation['state']}{detail}{left}"


def _living(body: Body) -> list[dict[str, Any]]:
    return [shard for shard in body["shards"] if shard["state"] != "silent"]


def _state(shard: dict[str, Any]) -> str:
    """Return what isn't as usual about a shard."""
    words: list[str] = []
    if shard["state"] != "serving":
        words.append(shard["state"])
    if shard["weight"] != 1:
        words.append(f"weight {shard['weight']:g}")
    if shard["shedding"]:
        words.append("turns new games away")
    return ", ".join(words)


def table(body: Body) -> Table:
    """Return a row for each shard: what it holds and how it's doing."""
    made = Table(
        *("shard", "state", "weight", "pid", "partitions", "live", "passive", "failed"),
        *("events/s", "lag ms"),
    )
    for shard in body["shards"]:
        state = f"{shard['state']}, shedding" if shard["shedding"] else shard["state"]
        numbers = ", ".join(f"{p['id']}@{p['epoch']}" for p in shard["partitions"])
        counts = ("games", "passive_games", "failed_games", "moves_per_second", "lag_ms")
        made.add_row(
            *(shard["name"], state, f"{shard['weight']:g}", str(shard["pid"]), numbers),
            *(str(shard[count]) for count in counts),
        )
    return made
