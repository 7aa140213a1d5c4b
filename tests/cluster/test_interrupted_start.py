"""`gameshard run` told to end in the middle of its start."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from uuid import uuid4

import pytest
from fix_system import START_SECONDS, STOP_SECONDS


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory(prefix="gameshard-run-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def marked(mark: str) -> list[str]:
    """What still runs that was started with `mark` in its environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
                state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
            except OSError:
                continue
            if mark.encode() in environment and state != "Z":
                found.append((entry / "cmdline").read_text().replace("\0", " "))
    return found


@pytest.mark.parametrize(
    ("step", "number"),
    [
        ("Postgres", signal.SIGINT),
        ("Ray", signal.SIGTERM),
        ("coordinator", signal.SIGINT),
        ("1 gateway", signal.SIGTERM),
    ],
)
def test_a_start_that_is_broken_off_leaves_nothing_behind(folder, step, number):
    """Ctrl-C and SIGTERM end it at any step: in order, without a traceback, with all it started."""
    mark = uuid4().hex
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "run", "--port", "0", "--data", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"COLUMNS": "200", "GAMESHARD_TEST_MARK": mark},
        start_new_session=True,
    )
    watchdog = threading.Timer(START_SECONDS, process.kill)
    watchdog.start()
    try:
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith(f"starting {step} "):
                break
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            process.send_signal(number)
        out, rest = process.communicate(timeout=STOP_SECONDS)
    finally:
        watchdog.cancel()
        process.kill()
    everything = "".join(said) + rest
    assert process.returncode == 0, everything
    assert out == ""
    assert "starting" not in rest, everything  # it begins no further step
    assert "Traceback" not in everything
    assert marked(mark) == []
    assert not (folder / "running.json").exists()
