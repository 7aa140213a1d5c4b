"""A whole running system, started and stopped as a person does it."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

READY = "gameshard is ready at "
START_SECONDS = 180
STOP_SECONDS = 60


class System:
    """One `gameshard run` on a free port.

    Attributes:
        url: Where it answers, without a slash at the end.
        process: The process that was started; everything else is its child.
    """

    def __init__(self, data: Path, *options: str) -> None:
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  (it lives as long as the system)
        command = [sys.executable, "-m", "gateway.cli", "run", "--port", "0", "--data", str(data)]
        self.process = subprocess.Popen(
            [*command, *options],
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env=os.environ | {"COLUMNS": "200"},
        )
        self.url = self._ready()

    def _ready(self) -> str:
        """Wait for the line with the URL; a system that never says it is killed, which ends the wait."""
        assert self.process.stdout is not None
        watchdog = threading.Timer(START_SECONDS, self.process.kill)
        watchdog.start()
        try:
            for line in self.process.stdout:
                if line.startswith(READY):
                    return line.removeprefix(READY).strip()
        finally:
            watchdog.cancel()
        code = self.process.wait()
        raise AssertionError(f"`gameshard run` ended with {code}:\n{self.said()}")

    def said(self) -> str:
        """Return what it wrote to stderr so far."""
        self._said.seek(0)
        return self._said.read()

    def stop(self) -> int:
        """Ask it to stop, as Ctrl-C or a service manager would, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"it did not stop:\n{self.said()}") from None
        finally:
            assert self.process.stdout is not None
            self.process.stdout.close()
            self._said.close()


@pytest.fixture(scope="session")
def running_system():
    """The URL of a running system, shared by all tests that ask; GAMESHARD_URL names another."""
    if url := os.environ.get("GAMESHARD_URL"):
        yield url.rstrip("/")
        return
    with tempfile.TemporaryDirectory(prefix="gameshard-run-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        system = System(Path(folder))
        yield system.url
        assert system.stop() == 0
