"""What every local service has in common: one server process on one folder, and its port."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from persistence.local.children import free_port, is_free, spawn, working_in

_PREDECESSOR_S = 20.0
_POLL_S = 0.05
_WORDS = 15


class ServiceError(Exception):
    """A local service can't run; the message says why and what to do."""


class NotInstalled(ServiceError):  # noqa: N818  (what is wrong)
    """A program that the service needs isn't on this machine."""


class PortTaken(ServiceError):  # noqa: N818  (ditto)
    """Somebody else listens on a port that can't be changed any more."""


class AlreadyRunning(ServiceError):  # noqa: N818  (ditto)
    """A server that isn't ours runs on the folder and doesn't end."""


class Server:
    """One child process at a time, which works in `folder` and writes to a log in it."""

    def __init__(self, name: str, folder: Path, death: signal.Signals) -> None:
        """Keep everything under `folder`, which is made when a process is launched.

        `name` is what people call the server; it gets `death` when this process ends.
        """
        self.name = name
        self.folder = folder.resolve()
        self._death = death
        self._log = self.folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The id of the process that was launched last; None if it was stopped, or never was."""
        return self._process.pid if self._process is not None else None

    def launch(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start the process with an empty log; the log before is kept as `server.log.old`.

        Raises:
            NotInstalled: If there's no such program.
        """
        if self._log.exists():
            self._log.replace(self._log.with_suffix(".log.old"))
        try:
            self._process = spawn(
                command,
                self._log,
                death=self._death,
                environment=environment,
                folder=self.folder,
            )
        except OSError as error:
            raise NotInstalled(f"{self.name} can't be started: {error}") from error

    def prepare(self) -> None:
        """Make the folder, and let a process that was left behind on it end.

        Raises:
            AlreadyRunning: If one is there and doesn't end.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        until = time.monotonic() + _PREDECESSOR_S
        while pids := working_in(self.folder):
            if time.monotonic() > until:
                raise AlreadyRunning(
                    f"Another {self.name} (process {min(pids)}) runs on {self.folder}."
                    " Stop it, or use another data directory."
                )
            time.sleep(_POLL_S)

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Return when `ready` says so.

        Raises:
            ServiceError: If the process ends before, or `seconds` pass; then it's stopped.
        """
        until = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise ServiceError(f"{self.name} ended at its start:\n{self.last_words()}")
            if time.monotonic() > until:
                self.kill()
                raise ServiceError(
                    f"{self.name} isn't ready after {seconds:.0f} s:\n{self.last_words()}"
                )
            time.sleep(_POLL_S)

    def log(self) -> str:
        """Return what the process has written so far."""
        try:
            return self._log.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def last_words(self) -> str:
        """Return the end of the log."""
        return "\n".join(self.log().splitlines()[-_WORDS:])

    def terminate(self) -> None:
        """Ask the process to stop; `end` waits for it."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def end(self, seconds: float) -> None:
        """Stop the process; kill it if that takes longer than `seconds`."""
        self.terminate()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """End the process at once, as `kill -9` does, and wait for its end."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()


def remembered_port(file: Path) -> int:
    """Return the port in `file` if it's free, else another free one, which `file` then holds.

    So who was connected before a restart finds the server again.
    """
    with contextlib.suppress(OSError, ValueError):
        before = int(file.read_text())
        if is_free(before):
            return before
    port = free_port()
    file.write_text(str(port))
    return port
