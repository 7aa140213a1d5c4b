"""A handful of fault runs on a system of the real services; `make faults` does hundreds."""

import subprocess
import sys

from bench.faults.scorecard import read

FAULTS = "shard-kill,kafka-kill,postgres-kill,shard-stop,gateway-kill+shard-kill"


def test_nothing_is_lost_duplicated_or_forked(tmp_path):
    """Five faults, each compared with all that clients heard: nothing is wrong, nobody's clock pays."""
    page = tmp_path / "faults.md"
    bench = [sys.executable, "-m", "bench", "faults", "--faults", FAULTS, "--rounds", "5"]
    done = subprocess.run(
        [*bench, "--games", "60", "--pace", "60", "--scorecard", str(page)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (played,) = read(tmp_path / "faults.json")
    assert sorted(run.fault for run in played.runs) == sorted(FAULTS.split(","))
    assert all(run.good and not run.failed and run.moves for run in played.runs)
    assert "| all |" in page.read_text()
