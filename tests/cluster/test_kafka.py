"""A whole system whose log is Kafka."""

import shlex
import tempfile
from pathlib import Path

import httpx
from fix_system import System
from siege import besiege, nothing_is_wrong


def test_games_go_on_without_kafka(tmp_path):
    """kill -9 of the broker amid play costs no event and no socket; it's started again by itself."""
    with tempfile.TemporaryDirectory(prefix="gameshard-run-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        system = System(Path(folder), "--full", "--partitions", "4")
        processes = httpx.get(f"{system.url}/shards").json()["processes"]
        (broker,) = [each["pid"] for each in processes if each["role"] == "kafka"]
        kill = shlex.join(["kill", "-9", str(broker)])
        found = besiege(system.url, tmp_path / "figures.json", "--during", kill, "--watch", "8")
        assert system.stop() == 0
        nothing_is_wrong(found)
