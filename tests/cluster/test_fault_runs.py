"""A handful of fault runs on a system of the real services; `make faults` does hundreds."""

import subprocess
import sys

from bench.faults.inspection import AFTERWARDS
from bench.faults.scorecard import read

FAULTS = "shard-kill,kafka-kill,postgres-kill,shard-stop,gateway-kill+shard-kill"


def test_nothing_is_lost_duplicated_or_forked(tmp_path):
    """Five faults, each compared with all that clients heard, and at the end with the log."""
    page = tmp_path / "faults.md"
    bench = [sys.executable, "-m", "bench", "faults", "--faults", FAULTS, "--rounds", "5"]
    done = subprocess.run(
        [*bench, "--games", "60", "--pace", "60", "--scorecard", str(page)],
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    (played,) = read(tmp_path / "faults.json")
    *runs, afterwards = played.runs
    assert sorted(run.fault for run in runs) == sorted(FAULTS.split(",")), said
    assert all(run.moves for run in runs), said
    assert not any(run.failed for run in runs), said
    assert afterwards.fault == AFTERWARDS, said
    for run in played.runs:  # on a busy machine some clocks pay; the scorecard counts them
        assert [run.lost, run.duplicated, run.forked, run.unanswered] == [0, 0, 0, 0], said
    assert "| all |" in page.read_text()
