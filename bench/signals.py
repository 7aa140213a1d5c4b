"""Signals to processes of this machine, and whether they are still the same processes."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from time import perf_counter

from bench.proc import stat


def kill(pids: Iterable[int]) -> None:
    """Send SIGKILL to all of them; one that is gone already is passed over."""
    _send(pids, signal.SIGKILL)


def stop(pids: Iterable[int]) -> None:
    """Send SIGSTOP to all of them; ditto."""
    _send(pids, signal.SIGSTOP)


def cont(pids: Iterable[int]) -> None:
    """Send SIGCONT to all of them; ditto."""
    _send(pids, signal.SIGCONT)


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class Stopped:
    """Processes that got SIGSTOP. Call `look` now and then, and `undo` in the end, whatever comes.

    Attributes:
        woken_at: When `undo` was called, by time.perf_counter(); None: not yet.
    """

    def __init__(self, pids: Iterable[int]) -> None:
        self.woken_at: float | None = None
        self._at = perf_counter()
        self._born = {pid: found.born for pid in pids if (found := stat(pid)) is not None}
        self._ended: dict[int, float] = {}
        self._woken = 0
        stop(self._born)

    def look(self) -> None:
        """Note which of them somebody else has ended."""
        for pid, born in self._born.items():
            if pid not in self._ended and not _lives(pid, born):
                self._ended[pid] = perf_counter() - self._at

    def undo(self) -> None:
        """Send SIGCONT to those that still live; the second time does nothing."""
        if self.woken_at is not None:
            return
        self.look()
        self.woken_at = perf_counter()
        for pid in self._born.keys() - self._ended.keys():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
                self._woken += 1

    def notes(self) -> list[str]:
        """Say what became of them."""
        notes: list[str] = []
        if self._woken and self.woken_at is not None:
            notes.append(f"{self._woken} woken after {self.woken_at - self._at:.1f} s")
        if self._ended:
            after = max(self._ended.values())
            notes.append(f"{len(self._ended)} ended by others within {after:.1f} s")
        return notes


def _lives(pid: int, born: int) -> bool:
    found = stat(pid)
    return found is not None and found.born == born and found.state not in "ZX"
