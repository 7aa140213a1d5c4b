"""Cutting processes off: the kernel drops every packet from and to them.

The system was born in a cgroup of its own. A filter on it drops what leaves or goes to a port that
the victim has open; the victim moves to a cgroup below, whose filter drops all that its new
sockets send. Nobody hears of it: connections stand still, and new ones wait for an answer.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from bench.faults.filters import attach, detach, drop_all, drop_ports
from bench.proc import PROC


class Cut:
    """Processes that are cut off. See `bench.faults.harm.Harm`."""

    def __init__(self, pids: Iterable[int], group: Path) -> None:
        self._pids = list(pids)
        self._group = group
        self._below = group / f"cut-{self._pids[0]}"
        self._below.mkdir(exist_ok=True)
        self._folders: list[int] = []
        self._filters: list[tuple[int, int]] = []
        try:
            self._attach(self._below, drop_all())
            _move(self._pids, self._below)
            self._attach(group, drop_ports(open_ports(self._pids)))
        except BaseException:
            self.undo()
            raise

    def _attach(self, group: Path, program: bytes) -> None:
        folder = os.open(group, os.O_RDONLY)
        self._folders.append(folder)
        self._filters.append((folder, attach(folder, program)))

    def look(self) -> None:
        """See `Harm`."""

    def undo(self) -> None:
        """See `Harm`."""
        for folder, program in self._filters:
            detach(folder, program)
        for folder in self._folders:
            os.close(folder)
        self._filters, self._folders = [], []
        _move(self._pids, self._group)
        with suppress(OSError):  # a child of theirs may be in it: it harms nobody
            self._below.rmdir()

    def notes(self) -> list[str]:
        """See `Harm`."""
        return []


def _move(pids: Iterable[int], group: Path) -> None:
    for pid in pids:
        with suppress(OSError):  # it's gone
            (group / "cgroup.procs").write_text(str(pid))


def open_ports(pids: Iterable[int]) -> set[int]:
    """Return the local ports of all TCP sockets that these processes hold."""
    ports: set[int] = set()
    for pid in pids:
        with suppress(OSError):
            inodes = _sockets(pid)
            for table in ("tcp", "tcp6"):
                lines = (PROC / str(pid) / "net" / table).read_text().splitlines()[1:]
                rows = (line.split() for line in lines)
                ports |= {int(row[1].rpartition(":")[2], 16) for row in rows if row[9] in inodes}
    return ports


def _sockets(pid: int) -> set[str]:
    """Return the inodes of a process's sockets."""
    inodes: set[str] = set()
    for entry in os.scandir(PROC / str(pid) / "fd"):
        with suppress(OSError):
            link = str(Path(entry.path).readlink())
            if link.startswith("socket:["):
                inodes.add(link[8:-1])
    return inodes


def new_group(name: str) -> Path | None:
    """Make a cgroup for a system that can be cut off; None if this machine or user can't."""
    with suppress(OSError):
        for line in (PROC / "mounts").read_text().splitlines():
            _, folder, kind, *_ = line.split()
            if kind == "cgroup2":
                group = Path(folder) / name
                group.mkdir(exist_ok=True)
                made = os.open(group, os.O_RDONLY)
                try:
                    detach(made, attach(made, drop_ports([1])))
                finally:
                    os.close(made)
                return group
    return None
