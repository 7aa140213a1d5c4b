"""`gameshard doctor`: what can be wrong with a machine, its data, or a running system."""

from __future__ import annotations

import asyncio
import json
import shutil
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from gateway.audit import Finding, audit
from gateway.comparing import Comparison
from gateway.installed import DataDirectory, Running
from gateway.overview import operation_line, owned
from persistence.local import java
from persistence.local.server import ServiceError
from runtime.behaviours import load

_FREE = 1 << 30
_LAG_MS = 100


def check(data: DataDirectory) -> Iterator[Finding]:
    """Yield findings, from the machine up to the games."""
    yield Finding(True, f"games that are installed: {', '.join(sorted(load()))}")
    if not data.folder.exists():
        yield Finding(True, f"{data.folder} doesn't exist yet; the first start makes it")
        return
    free = shutil.disk_usage(data.folder).free
    yield Finding(free > _FREE, f"{free / (1 << 30):.1f} GiB free at {data.folder}")
    yield _broker(data)
    running = data.running()
    if running is None:
        yield Finding(True, "nothing runs on this data")
        return
    yield Finding(True, f"runs at {running.url}, pid {running.pid}")
    yield from _system(running)
    yield from audit(running.dsn)
    yield from stepped(Comparison(running).findings)


def _broker(data: DataDirectory) -> Finding:
    """Say whether a Kafka of our own can be started; that it can't is bad where there was one."""
    try:
        found = java.java()
        java.jars("kafka")
    except ServiceError as error:
        needed = (data.folder / "kafka").exists()
        return Finding(not needed, f"`gameshard run --full` can't start a Kafka here: {error}")
    return Finding(True, f"Kafka {java.version('kafka')} can be started here, by {found.path}")


def stepped(make: Callable[[], AsyncIterator[Finding]]) -> Iterator[Finding]:
    """Yield what an asynchronous look finds, as it finds it."""
    with asyncio.Runner() as runner:
        found = runner.run(_begun(make))
        while (finding := runner.run(_next(found))) is not None:
            yield finding


async def _begun(make: Callable[[], AsyncIterator[Finding]]) -> AsyncIterator[Finding]:
    return make()


async def _next(found: AsyncIterator[Finding]) -> Finding | None:
    return await anext(found, None)


def _system(running: Running) -> Iterator[Finding]:
    try:
        with urllib.request.urlopen(f"{running.url}/shards", timeout=10) as response:  # noqa: S310
            body = json.load(response)
    except (OSError, ValueError) as error:
        yield Finding(False, f"the gateways don't answer: {error}")
        return
    yield from system_findings(body)


def system_findings(body: dict[str, Any]) -> Iterator[Finding]:
    """Yield what the body of GET /shards says about a system."""
    orphans = body["partitions"] - owned(body)
    yield Finding(not orphans, f"partitions without an owner: {orphans or 'none'}")
    operation, left = body["operation"], body["unsettled"]
    moving = operation is not None and operation["state"] == "running"
    where = f"partitions that aren't where they belong: {left or 'none'}"
    yield Finding(not left or moving, where)
    if operation is not None:
        what = f"the newest operation: {operation_line(operation)}"
        yield Finding(operation["state"] != "failed", what)
    for name, why in body.get("refused", {}).items():
        yield Finding(False, f"{name} can't take part: {why}")
    for shard in body["shards"]:
        yield from _shard(shard)


def _shard(shard: dict[str, Any]) -> Iterator[Finding]:
    name, state = shard["name"], shard["state"]
    yield Finding(state != "silent", f"{name}: {state}, weight {shard['weight']:g}")
    lag, failed = shard["lag_ms"], shard["failed_games"]
    yield Finding(lag < _LAG_MS, f"{name}: event loop lag {lag} ms")
    if shard["shedding"]:
        yield Finding(False, f"{name}: turns new games away, so that moves go on")
    yield Finding(not failed, f"{name}: {failed} games in quarantine")
