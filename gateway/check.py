"""`gameshard doctor`: what can be wrong with a machine, its data, or a running system."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Iterator

import psycopg
from msgspec import Struct

from gateway.installed import DataDirectory, Running
from gateway.replay import chunks
from runtime.behaviours import load
from runtime.history import unpack_events

_SAMPLE = 200
_FREE = 1 << 30


class Finding(Struct, frozen=True):
    """One thing that was looked at, in words for an operator."""

    well: bool
    what: str


def check(data: DataDirectory) -> Iterator[Finding]:
    """Yield findings, from the machine up to the games."""
    yield Finding(True, f"games that are installed: {', '.join(sorted(load()))}")
    if not data.folder.exists():
        yield Finding(True, f"{data.folder} doesn't exist yet; the first start makes it")
        return
    free = shutil.disk_usage(data.folder).free
    yield Finding(free > _FREE, f"{free / (1 << 30):.1f} GiB free at {data.folder}")
    running = data.running()
    if running is None:
        yield Finding(True, "nothing runs on this data")
        return
    yield Finding(True, f"runs at {running.url}, pid {running.pid}")
    yield from _system(running)
    yield from _games(running)


def _system(running: Running) -> Iterator[Finding]:
    try:
        with urllib.request.urlopen(f"{running.url}/shards", timeout=10) as response:  # noqa: S310
            body = json.load(response)
    except OSError as error:
        yield Finding(False, f"the gateways don't answer: {error}")
        return
    owned = {p["id"] for s in body["shards"] if s["state"] == "serving" for p in s["partitions"]}
    orphans = sorted(set(range(body["partitions"])) - owned)
    yield Finding(not orphans, f"partitions without an owner: {orphans or 'none'}")
    for shard in body["shards"]:
        if shard.get("refused"):
            yield Finding(False, f"{shard['name']} can't take part: {shard['refused']}")
        lag, failed = shard["lag_ms"], shard["failed_games"]
        yield Finding(lag < 100, f"{shard['name']}: event loop lag {lag} ms")
        yield Finding(not failed, f"{shard['name']}: {failed} games in quarantine")


def _games(running: Running) -> Iterator[Finding]:
    """Compare the log, the checkpoints and the stored histories."""
    with psycopg.connect(running.dsn) as connection:
        for partition, head, checkpoint in connection.execute(
            "SELECT id, head, checkpoint FROM partitions WHERE checkpoint > head"
        ):
            yield Finding(
                False, f"partition {partition}: checkpoint {checkpoint} beyond head {head}"
            )
        holes = connection.execute(
            "SELECT p.id FROM partitions p WHERE p.head - p.checkpoint <> (SELECT count(*) FROM"
            ' events e WHERE e.partition = p.id AND e."offset" >= p.checkpoint'
            ' AND e."offset" < p.head) ORDER BY 1'
        ).fetchall()
        yield Finding(
            not holes, f"partitions with holes in the log: {[i for (i,) in holes] or 'none'}"
        )
        rows = connection.execute(
            "SELECT id, seq, history FROM games ORDER BY taken_at DESC LIMIT %s", (_SAMPLE,)
        ).fetchall()
    torn = [game for game, seq, data in rows if len(unpack_events(chunks(bytes(data)))) != seq]
    yield Finding(
        not torn, f"of the {len(rows)} newest stored games, {len(torn)} have an incomplete history"
    )
