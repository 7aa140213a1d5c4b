"""A whole system whose log is Kafka."""

import os
import shlex
import signal
import tempfile
import time
from io import StringIO
from pathlib import Path

import chess.pgn as chess_pgn
import httpx
import psycopg
import pytest
from fix_system import System
from siege import besiege, nothing_is_wrong

import actors.chess as chess
from gateway.installed import DataDirectory
from persistence.local.registry import LocalRegistry


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    registry = LocalRegistry(tmp_path_factory.mktemp("registry"))
    registry.start()
    yield registry.url
    registry.stop()


@pytest.fixture(scope="module")
def folder():
    """Where the system keeps its data."""
    with tempfile.TemporaryDirectory(prefix="gameshard-run-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def url(folder, registry):
    """A system with a broker of its own; the schemas are in a registry."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAMESHARD_KAFKA_REGISTRY", registry)
        system = System(folder, "--full", "--partitions", "4")
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


def ended_game(http: httpx.Client) -> str:
    """Play a game of one move to its end; return its id."""
    ann, bob = (
        {"Authorization": f"Bearer {http.post('/tokens', json={'name': name}).json()['token']}"}
        for name in ("ann", "bob")
    )
    game = http.post("/games", json={"color": "white"}, headers=ann).json()["id"]
    assert http.post(f"/games/{game}/join", headers=bob).status_code == 200
    move = http.post(f"/games/{game}/moves", json={"uci": "e2e4", "ply": 0}, headers=ann)
    assert move.status_code == 200
    assert http.post(f"/games/{game}/resign", json={}, headers=bob).status_code == 200
    return game


def archived(folder: Path, game: str) -> tuple:
    """Wait until a game is in the archive; return what is kept of it."""
    until = time.monotonic() + 60
    with psycopg.connect(DataDirectory(folder).running().dsn, autocommit=True) as connection:
        query = "SELECT kind, moves, result, exports FROM archive WHERE game = %s"
        while (row := connection.execute(query, (game,)).fetchone()) is None:
            assert time.monotonic() < until
            time.sleep(0.05)
    return row


def test_games_that_end_are_archived_though_the_archive_is_killed(url, folder):
    """Its consumer runs beside the system and is started again; what it has is what players get."""
    with httpx.Client(base_url=url, timeout=30) as http:
        for _ in range(2):
            game = ended_game(http)
            kind, moves, result, exports = archived(folder, game)
            assert (kind, moves) == ("chess", 1)
            assert result == {"winner": "white", "termination": "resignation"}
            served = chess_pgn.read_game(StringIO(http.get(f"/games/{game}.pgn").text))
            kept = chess_pgn.read_game(StringIO(exports["pgn"]))
            assert list(kept.mainline_moves()) == list(served.mainline_moves())
            assert kept.headers["Result"] == served.headers["Result"] == "1-0"
            pid = process(url, "archive")
            os.kill(pid, signal.SIGKILL)
            until = time.monotonic() + 60
            while process(url, "archive") == pid:
                assert time.monotonic() < until
                time.sleep(0.1)
        lines = http.get(metrics(url)).text.splitlines()
        assert any(
            line.startswith('gameshard_consumer_settled_total{consumer="archive"}')
            for line in lines
        )


def metrics(url: str) -> str:
    """Return where the archive's figures are, once it answers."""
    processes = httpx.get(f"{url}/shards").json()["processes"]
    (found,) = [each["metrics"] for each in processes if each["role"] == "archive"]
    until = time.monotonic() + 60
    while True:
        try:
            httpx.get(found)
        except httpx.TransportError:
            assert time.monotonic() < until
            time.sleep(0.1)
        else:
            return found


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
