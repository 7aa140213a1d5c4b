"""What a data directory holds besides Postgres: the cluster's secret, the lock, where it runs."""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from persistence.kafka.stores import KafkaSettings


class Running(Struct, frozen=True):
    """Where a running system is found: written when it's ready, removed when it stops."""

    url: str
    pid: int
    dsn: str
    namespace: str
    ray: str
    kafka: KafkaSettings | None = None
    redis: str | None = None


class DataDirectory:
    """One system's folder; one process at a time may run on it."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which is made if it's missing."""
        self.folder = folder.expanduser().resolve()
        self._lock: IO[str] | None = None

    @property
    def postgres(self) -> Path:
        """Where Postgres keeps its data."""
        return self.folder / "postgres"

    def lock(self) -> bool:
        """Make this process the one that runs here; False if there's another."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / "lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def unlock(self) -> None:
        """Let another process run here."""
        if self._lock is not None:
            self._lock.close()

    def secret(self) -> bytes:
        """Return the cluster's secret, made at the first start and readable by its owner only."""
        file = self.folder / "secret"
        if not file.exists():
            made = self.folder / "secret.new"
            made.touch(mode=0o600)
            made.write_text(secrets.token_hex(32))
            made.replace(file)
        return bytes.fromhex(file.read_text().strip())

    def announce(self, running: Running) -> None:
        """Tell other commands where the system is."""
        file = self.folder / "running.json"
        made = self.folder / "running.json.new"
        made.touch(mode=0o600)
        made.write_bytes(msgspec.json.encode(running))
        made.replace(file)

    def withdraw(self) -> None:
        """The system is gone."""
        (self.folder / "running.json").unlink(missing_ok=True)

    def running(self) -> Running | None:
        """Return where the system runs; None if it doesn't."""
        try:
            running = msgspec.json.decode((self.folder / "running.json").read_bytes(), type=Running)
            os.kill(running.pid, 0)
        except (FileNotFoundError, ProcessLookupError):
            return None
        return running
