"""A whole system with hot state in a real Valkey: killed shards, and a Valkey that is killed or wiped."""

import json
import os
import shlex
import signal
import sys
import tempfile
import time
from pathlib import Path

import httpx
import pytest
from fix_system import System
from redis import Redis
from siege import besiege, nothing_is_wrong

PARTITIONS = 8


@pytest.fixture(scope="module")
def url(valkey):
    """A system of two shards that uses the Valkey of the tests."""
    with tempfile.TemporaryDirectory(prefix="gameshard-run-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with Redis.from_url(valkey.url) as client:
            client.flushall()
        options = ("--shards", "2", "--partitions", str(PARTITIONS), "--redis", valkey.url)
        system = System(Path(folder), *options)
        yield system.url
        assert system.stop() == 0


def shards(url: str) -> list[dict]:
    return httpx.get(f"{url}/shards").json()["shards"]


def until(condition) -> None:
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit


def test_the_games_of_a_killed_shard_come_from_the_hot_state(url, tmp_path):
    """kill -9 under load loses nothing, and who took over read the log from the mark on."""
    nothing_is_wrong(besiege(url, tmp_path / "figures.json", "--fault", "shard-kill"))
    assert all(shard["hot_state"]["healthy"] for shard in shards(url))
    assert sum(shard["hot_state"]["served"] for shard in shards(url)) > 0


def test_a_valkey_that_is_killed_costs_no_move(url, valkey, tmp_path):
    """Games don't notice that it's gone; when it's back, it's written to again."""
    kill = shlex.join(["kill", "-9", str(valkey.pid)])
    try:
        nothing_is_wrong(besiege(url, tmp_path / "figures.json", "--during", kill, "--watch", "4"))
    finally:
        valkey.start()
    until(lambda: all(shard["hot_state"]["healthy"] for shard in shards(url)))


def test_a_wipe_and_a_killed_shard_lose_nothing(url, valkey, tmp_path):
    """Everything in it goes just before a shard is killed: snapshots and log have all there is."""
    (pid,) = [s["pid"] for s in shards(url) if s["name"] == "shard-1"]
    wipe = f"from redis import Redis; Redis.from_url({valkey.url!r}).flushall()"
    both = f"{shlex.join([sys.executable, '-c', wipe])} && kill -9 {pid}"
    nothing_is_wrong(besiege(url, tmp_path / "figures.json", "--during", both, "--watch", "5"))


def test_routers_outside_find_the_owners_in_redis(url, valkey):
    """The copy names each partition's shard, epoch and address, and follows a change."""
    with Redis.from_url(valkey.url, decode_responses=True) as client:

        def copied() -> dict[str, tuple[str, int]]:
            table = client.hgetall("shards:routing")
            table.pop("version", None)
            routes = {p: json.loads(route) for p, route in table.items()}
            return {p: (r["shard"], r["epoch"]) for p, r in routes.items() if r["address"]}

        def owned() -> dict[str, tuple[str, int]]:
            return {
                str(p["id"]): (s["name"], p["epoch"]) for s in shards(url) for p in s["partitions"]
            }

        until(lambda: len(owned()) == PARTITIONS and copied() == owned())
        before = copied()
        os.kill(shards(url)[0]["pid"], signal.SIGKILL)
        until(lambda: owned() != before and len(owned()) == PARTITIONS and copied() == owned())
