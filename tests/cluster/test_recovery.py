"""Faults and operators in the middle of play: all that clients heard, compared with what is stored."""

import shlex
import sys
import tempfile
from pathlib import Path

import pytest
from fix_system import System
from siege import besiege, nothing_is_wrong

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


def test_a_killed_shard_costs_nobody_a_move(url, tmp_path):
    """Under a paced load kill -9 of a shard loses, repeats and disorders nothing, and no socket ends."""
    found = besiege(url, tmp_path / "figures.json", "--fault", "shard-kill", "--watch", "5")
    nothing_is_wrong(found)
    (one,) = found["rounds"]
    assert one["gap_ms"]["hit"]["games"] > 0
    assert one["gap_ms"]["all"]["never"] == 0


def test_operators_cost_no_client_anything(url, data, tmp_path):
    """A shard more, and one less again: no refusal, no lost socket, and no partition moves in vain."""
    scale = [sys.executable, "-m", "gateway.cli", "scale", "--data", str(data)]
    during = [word for count in "32" for word in ("--during", shlex.join([*scale, count]))]
    found = besiege(url, tmp_path / "figures.json", *during, "--watch", "1")
    nothing_is_wrong(found)
    two, three = (place(PARTITIONS, {f"shard-{n}": 1.0 for n in range(count)}) for count in (2, 3))
    differing = sum(a != b for a, b in zip(two, three, strict=True))
    assert [one["partitions_moved"] for one in found["rounds"]] == [differing, differing]
    assert [one["client_errors"] for one in found["rounds"]] == [{}, {}]
