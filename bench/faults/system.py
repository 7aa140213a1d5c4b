"""A system of our own to be hit: `gameshard run`, in a group that can be cut off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from bench.faults.clocks import make_clocks
from bench.faults.cut import new_group
from bench.faults.harm import Tools
from bench.server import UnreachableError

_READY = "gameshard is ready at "
_START_S = 240
_STOP_S = 60
_OVER_TCP = 100
"""So long a folder's name must be for Postgres to be reached over TCP, where it can be cut off."""


class System:
    """The system. Use it as a context manager.

    Args:
        folder: Where it keeps everything; others can read it.
        options: Of `gameshard run`.

    Attributes:
        url: Where it answers.
        data: Its data directory.
        tools: What it can be harmed with.
    """

    def __init__(self, folder: Path, options: Sequence[str]) -> None:
        self.data = folder / "data".ljust(_OVER_TCP, "-")
        self.tools = Tools(new_group(f"bench-{os.getpid()}"), make_clocks(folder))
        self.url = ""
        self._said = (folder / "said").open("w+")
        clocks = self.tools.clocks
        self._process = subprocess.Popen(
            [
                *_born_in(self.tools.group),
                *(sys.executable, "-m", "gateway.cli", "run"),
                *("--port", "0", "--data", str(self.data), *options),
            ],
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env=os.environ | (clocks.environment if clocks is not None else {}),
        )

    def __enter__(self) -> Self:
        watchdog = threading.Timer(_START_S, self._process.kill)
        watchdog.start()
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:
                if line.startswith(_READY):
                    self.url = line.removeprefix(_READY).strip()
                    return self
        finally:
            watchdog.cancel()
        code = self._process.wait()
        raise UnreachableError(f"`gameshard run` ended with {code}:\n{self.said()}")

    def __exit__(self, *_: object) -> None:
        assert self._process.stdout is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # what it started ends with it
            self._process.wait()
        self._process.stdout.close()
        self._said.close()
        if self.tools.group is not None:
            _remove(self.tools.group)

    def said(self) -> str:
        """Return the end of what it wrote to stderr."""
        self._said.seek(0)
        return self._said.read()[-2000:]

    def replay(self, game: str) -> Replayed:
        """Have `gameshard replay` compare the tiers of one game, and show what its log has."""
        done = self._replay(game, "log")
        said = "; ".join(done.stderr.decode().strip().splitlines())[-500:]
        return Replayed(done.returncode == 0, said, _seqs(done.stdout))

    def waiting(self, game: str) -> list[int]:
        """Return the seqs of a game that the outbox has, if there's one."""
        return _seqs(self._replay(game, "outbox").stdout)

    def _replay(self, game: str, source: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "gateway.cli", "replay", game, "--data", str(self.data)]
        return subprocess.run([*command, "--from", source], check=False, capture_output=True)


def _seqs(events: bytes) -> list[int]:
    return [msgspec.json.decode(line)["seq"] for line in events.splitlines()]


class Replayed(NamedTuple):
    """What the stores have of a game: if all is well, what was said, and the seqs in the log."""

    well: bool
    said: str
    logged: list[int]


def _born_in(group: Path | None) -> list[str]:
    """Return what a command line begins with whose process shall be born in a cgroup."""
    if group is None:
        return []
    return ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs")]


def _remove(group: Path) -> None:
    for each in (*group.glob("cut-*"), group):
        try:
            each.rmdir()
        except OSError:  # somebody still lives in it: the next system of this process takes it
            return
