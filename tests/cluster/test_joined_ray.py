"""A whole system in a Ray that ran before it and outlives it, on two of its nodes."""

import json
import os
import signal
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from cluster_services import until_true
from fix_system import System

from persistence.local.children import free_port, spawn

RAY = Path(sys.executable).with_name("ray")
COMMON = ("--block", "--disable-usage-stats", "--include-log-monitor=false")
SMALL = ("--num-cpus=1", "--object-store-memory=80000000")
ANY_PORTS = ("--min-worker-port=0", "--max-worker-port=0")  # beside other Rays of this machine


@contextmanager
def node(log: Path, *options: str):
    """A node of Ray, as `ray start` makes it; it's killed at the end, and its children with it."""
    process = spawn(
        [str(RAY), "start", *COMMON, *SMALL, *ANY_PORTS, *options], log, death=signal.SIGKILL
    )
    try:
        until_true(lambda: "will now block" in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def ray(tmp_path, monkeypatch):
    """The address of a Ray whose second node is for gateways; its first is for shards."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of-the-tests-of-the-tests-of-the-tests")
    port = free_port()
    shards, gateways = json.dumps({"shard": 4}), json.dumps({"door": 4})
    head = ("--head", f"--port={port}", "--include-dashboard=false", f"--resources={shards}")
    with (
        tempfile.TemporaryDirectory(prefix="gs-", ignore_cleanup_errors=True) as short,
        node(tmp_path / "head", *head, f"--temp-dir={short}"),
    ):
        said = (tmp_path / "head").read_text()
        address = said.split("ray start --address='")[1].split("'")[0]
        with node(tmp_path / "other", f"--address={address}", f"--resources={gateways}"):
            yield address


@pytest.fixture
def data():
    """A folder that Postgres's own user reaches."""
    with tempfile.TemporaryDirectory(prefix="gameshard-run-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def owned(url: str) -> dict:
    return httpx.get(f"{url}/shards", timeout=10).json()


def test_a_system_in_a_ray_that_outlives_it(ray, data, monkeypatch):
    """Its services are where they shall be; after a kill -9 the next run finds every game."""
    monkeypatch.setenv("GAMESHARD_RAY_GATEWAYS_ON", "door")
    monkeypatch.setenv("GAMESHARD_RAY_SHARDS_ON", "shard")
    options = ("--ray", ray, "--port", str(free_port()), "--shards", "2")
    first = System(data, *options)
    where = {each["role"]: each["node"] for each in owned(first.url)["processes"] if "node" in each}
    assert where["gateway"] != where["shard"]
    assert all("127.0.0.1" not in each["address"] for each in owned(first.url)["shards"])
    token = httpx.post(f"{first.url}/tokens", json={"name": "ann"}).json()["token"]
    ann = {"Authorization": f"Bearer {token}"}
    game = httpx.post(f"{first.url}/games", json={}, headers=ann, timeout=30).json()["id"]
    before = {each["pid"] for each in owned(first.url)["processes"] if "node" in each}
    first.process.kill()
    assert first.stop() == -signal.SIGKILL
    second = System(data, *options)
    assert "stopping gateway-0" in second.said()
    assert httpx.get(f"{second.url}/games/{game}", timeout=30).json()["id"] == game
    after = {each["pid"] for each in owned(second.url)["processes"] if "node" in each}
    assert not before & after
    assert second.stop() == 0
