"""The whole of `bench recovery` against a server that lies: every lie is found, none is made up."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from bench_doctored import Doctored
from typer.testing import CliRunner

import bench.hall
from bench.cli import app
from bench.comparison import compare
from bench.hall import Hall, HallJob
from bench.ledger import read_ledger
from bench.scripts import Script

SCRIPT = Script(
    "s", "standard", None, "white", ("e2e4", "e7e5") * 200, None, "aborted", False, None
)


def noted(ledger: Path) -> int:
    """How many events the ledger says that sockets were told."""
    return sum(line.startswith("s ") for line in ledger.read_text().splitlines())


async def play(hall: Hall, server: Doctored, ledger: Path) -> None:
    """Play until the trick of every game is well behind it, and all that was told is noted."""
    await hall.prepare()
    hall.begin(perf_counter(), float("inf"))
    while min(len(game.moves) for game in server.games.values()) < 4:
        await asyncio.sleep(0.005)
    await hall.drain()
    while noted(ledger) < server.told:
        await asyncio.sleep(0.005)
    await hall.finish()


@pytest.mark.parametrize(
    ("trick", "found"),
    [
        ("honest", []),
        ("lost", ["lost"]),
        ("repeated", ["repeated"]),
        ("disordered", ["disordered"]),
        ("missed", ["missed"]),
        ("differing", ["differing"]),
        ("twin", ["differing"]),
    ],
)
def test_a_lie_is_found_and_called_by_its_name(
    trick: str, found: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One event of one game of three is tampered with; that game is accused, of just that, and no other."""
    monkeypatch.setattr(bench.hall, "_DRAIN_SECONDS", 3.0)
    ledger = tmp_path / "ledger"
    with Doctored((trick, "honest", "honest"), {}) as server:
        job = HallJob(server.url, 3, (SCRIPT,), 100, ledger=ledger, per_socket=2, users=2)
        asyncio.run(play(job(), server, ledger))
        findings = compare(server.url, heard := read_ledger(ledger), heard.begun)
    tricked = next(game.name for game in server.games.values() if game.trick == trick)
    assert [kind for kind, count in findings.counts().items() if count] == found
    assert all(tricked in line for line in findings.sentences() if "numbered" not in line)


@pytest.fixture
def shard() -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks like a shard's, and waits to be killed."""
    command = [sys.executable, "-c", "input()", "ray::_Host"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()


def shards(pid: int) -> dict[str, Any]:
    line = {"name": "shard-0", "state": "serving", "pid": pid, "partitions": [{"id": 0}]}
    return {"partitions": 1, "shards": [line], "processes": []}


def recovery(server: Doctored, path: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Run the command; return its exit code and its figures."""
    command = [sys.executable, "-m", "bench", "recovery", "--url", server.url, "--json", str(path)]
    command += ["--games", "4", "--pace", "50", "--watch", "1", "--warmup", "0", *options]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert path.exists(), done.stdout + done.stderr
    return done.returncode, json.loads(path.read_text())


def test_a_kill_is_measured(shard: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """The process that GET /shards names is killed, and the games of its partitions have their gaps."""
    with Doctored(("honest",), shards(shard.pid)) as server:
        code, figures = recovery(server, tmp_path / "j", "--fault", "shard-kill")
    assert shard.wait() == -9
    (one,) = figures["rounds"]
    assert (one["partitions_hit"], one["failed"]) == ([0], False)
    assert one["gap_ms"]["hit"]["games"] == 4
    assert one["gap_ms"]["others"]["games"] == 0
    assert one["partition_silent_ms"]["max"] > 0
    assert figures["heard"]["seen"] == 2 * figures["heard"]["acknowledged"] > 0
    assert code == 0


def test_a_round_that_hits_nobody_proves_nothing(
    shard: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """If there's nobody to kill, the exit code says so, and the other rounds are done all the same."""
    with Doctored(("honest",), shards(shard.pid)) as server:
        code, figures = recovery(server, tmp_path / "j", "--fault", "node-kill,shard-kill")
    nobody, somebody = figures["rounds"]
    assert (nobody["failed"], somebody["failed"], code) == (True, False, 3)
    assert "several" in " ".join(nobody["notes"])
    assert nobody["gap_ms"]["all"]["games"] == 0


def test_a_command_is_run_under_the_load(shard: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """What is given with --during runs in a shell, and the games are measured around it."""
    touched = tmp_path / "touched"
    with Doctored(("honest",), shards(shard.pid)) as server:
        code, figures = recovery(
            server, tmp_path / "j", "--during", f"echo 1 > {touched}", "--during", "exit 7"
        )
    assert touched.exists()
    good, bad = figures["rounds"]
    assert (good["failed"], bad["failed"], code) == (False, True, 3)
    assert "exit code 7" in " ".join(bad["notes"])
    assert good["gap_ms"]["all"]["games"] == 4
    assert shard.poll() is None


def test_a_server_elsewhere_is_not_hit(shard: subprocess.Popen[bytes]) -> None:
    """A URL of another machine is refused before anything is asked, pids that aren't here after it."""
    for url in ("http://192.0.2.1:8000", "https://games.example"):
        refused = CliRunner().invoke(app, ["recovery", "--url", url])
        assert refused.exit_code == 2
        assert "isn't on this machine" in " ".join(refused.output.split())
    with Doctored(("honest",), shards(2**22 + 1)) as server:
        refused = CliRunner().invoke(app, ["recovery", "--url", server.url])
    assert refused.exit_code == 2
    assert "tunnel" in refused.output
