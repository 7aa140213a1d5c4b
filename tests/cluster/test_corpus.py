"""Every game of the shipped corpus, played over WebSocket through a running system."""

import subprocess
import sys
from pathlib import Path

import pytest

CORPUS = sorted((Path(__file__).parents[2] / "bench" / "games").glob("*.pgn"))


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.stem)
def test_each_game_is_stored_with_its_moves_and_its_result(running_system, file, tmp_path):
    """What the file says and what the server stored are the same, whichever way the game ends."""
    played = subprocess.run(
        [
            *(sys.executable, "-m", "bench", "moves", "--url", running_system, "--games", "100"),
            *("--replay-all", str(file), "--json", str(tmp_path / "figures.json")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert played.returncode == 0, played.stdout + played.stderr


def test_there_is_a_corpus():
    """A test over no files would prove nothing."""
    assert len(CORPUS) >= 3
