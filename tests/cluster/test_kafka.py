"""A whole system whose log is Kafka."""

import os
import shlex
import signal
import tempfile
import time
from pathlib import Path

import httpx
import pytest
from fix_system import System
from siege import besiege, nothing_is_wrong

import actors.chess as chess
from persistence.local.registry import LocalRegistry


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    registry = LocalRegistry(tmp_path_factory.mktemp("registry"))
    registry.start()
    yield registry.url
    registry.stop()


@pytest.fixture(scope="module")
def url(registry):
    """A system with a broker of its own; the schemas are in a registry."""
    with tempfile.TemporaryDirectory(prefix="gameshard-run-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GAMESHARD_KAFKA_REGISTRY", registry)
            system = System(Path(folder), "--full", "--partitions", "4")
        yield system.url
        assert system.stop() == 0


def test_the_schemas_of_all_events_are_registered_at_the_start(url, registry):
    """Each event's, under the topic's name and its own, before the first is written."""
    subjects = httpx.get(f"{registry}/subjects").json()
    for event in chess.events:
        assert f"game-events-gameshard.{event.__struct_config__.tag}.v1" in subjects


def process(url: str, role: str) -> int:
    processes = httpx.get(f"{url}/shards").json()["processes"]
    (pid,) = [each["pid"] for each in processes if each["role"] == role]
    return pid


def test_without_kafka_and_without_its_owner_a_game_waits(url):
    """Nobody knows the log's end, so nobody answers for it: 503, until the broker does."""
    with httpx.Client(base_url=url, timeout=30) as http:
        token = http.post("/tokens", json={"name": "ann"}).json()["token"]
        ann = {"Authorization": f"Bearer {token}"}
        game = http.post("/games", json={"color": "white"}, headers=ann).json()["id"]
        broker = process(url, "kafka")
        os.kill(broker, signal.SIGSTOP)
        try:
            os.kill(process(url, "shard"), signal.SIGKILL)
            refused = http.get(f"/games/{game}")
        finally:
            os.kill(broker, signal.SIGCONT)
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert int(refused.headers["Retry-After"]) > 0
        until = time.monotonic() + 60
        while (answer := http.get(f"/games/{game}")).status_code == 503:
            assert time.monotonic() < until
        assert answer.json()["id"] == game


def test_games_go_on_without_kafka(url, tmp_path):
    """kill -9 of the broker amid play costs no event and no socket; it's started again by itself."""
    kill = shlex.join(["kill", "-9", str(process(url, "kafka"))])
    nothing_is_wrong(besiege(url, tmp_path / "figures.json", "--during", kill, "--watch", "8"))
