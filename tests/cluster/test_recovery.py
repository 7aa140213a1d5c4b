"""Faults and operators in the middle of play: all that clients heard, compared with what is stored."""

import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from fix_system import System

from runtime.ring import place

PARTITIONS = 8


@pytest.fixture(scope="module")
def data():
    """A data directory, on which a system of two shards and two gateways runs."""
    with tempfile.TemporaryDirectory(prefix="gameshard-run-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def url(data):
    system = System(data, "--shards", "2", "--gateways", "2", "--partitions", str(PARTITIONS))
    yield system.url
    assert system.stop() == 0


@pytest.fixture
def besiege(url, tmp_path):
    """Plays 100 games under the faults of `gameshard bench recovery`, and returns its figures."""

    def run(*options: str) -> dict:
        figures = tmp_path / "figures.json"
        bench = [sys.executable, "-m", "bench", "recovery", "--url", url, "--json", str(figures)]
        done = subprocess.run(
            [*bench, "--games", "100", "--pace", "100", *options],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(figures.read_text())

    return run


def nothing_is_wrong(found: dict) -> None:
    """Every event of the log came to both players once, in order, and nothing else did."""
    kinds = ("lost", "repeated", "disordered", "missed", "differing")
    assert found["compared"] == dict.fromkeys(kinds, 0)
    assert found["heard"]["acknowledged"] > 0
    assert found["heard"]["never_answered"] == 0
    assert all(one["sockets_reopened"] == 0 for one in found["rounds"])


def test_a_killed_shard_costs_nobody_a_move(besiege):
    """Under a paced load kill -9 of a shard loses, repeats and disorders nothing, and no socket ends."""
    found = besiege("--fault", "shard-kill", "--watch", "5")
    nothing_is_wrong(found)
    (one,) = found["rounds"]
    assert one["gap_ms"]["hit"]["games"] > 0
    assert one["gap_ms"]["all"]["never"] == 0


def test_operators_cost_no_client_anything(besiege, data):
    """A shard more, and one less again: no refusal, no lost socket, and no partition moves in vain."""
    scale = [sys.executable, "-m", "gateway.cli", "scale", "--data", str(data)]
    during = [word for count in "32" for word in ("--during", shlex.join([*scale, count]))]
    found = besiege(*during, "--watch", "1")
    nothing_is_wrong(found)
    two, three = (place(PARTITIONS, {f"shard-{n}": 1.0 for n in range(count)}) for count in (2, 3))
    differing = sum(a != b for a, b in zip(two, three, strict=True))
    assert [one["partitions_moved"] for one in found["rounds"]] == [differing, differing]
    assert [one["client_errors"] for one in found["rounds"]] == [{}, {}]
