"""Play under faults, by the bench that compares all that clients heard with what is stored."""

import json
import subprocess
import sys
from pathlib import Path


def besiege(url: str, figures: Path, *options: str) -> dict:
    """Play 100 games under what `options` of `gameshard bench recovery` do; return the figures."""
    bench = [sys.executable, "-m", "bench", "recovery", "--url", url, "--json", str(figures)]
    done = subprocess.run(
        [*bench, "--games", "100", "--pace", "100", *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(figures.read_text())


def nothing_is_wrong(found: dict) -> None:
    """Every event of the log came to both players once, in order, and nothing else did."""
    kinds = ("lost", "repeated", "disordered", "missed", "differing", "forked")
    assert found["compared"] == dict.fromkeys(kinds, 0)
    assert found["heard"]["acknowledged"] > 0
    assert found["heard"]["never_answered"] == 0
    assert all(one["sockets_reopened"] == 0 for one in found["rounds"])
