"""Doing a blow to processes of this machine, and undoing it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

from bench.faults.clocks import Clocks
from bench.faults.cut import Cut
from bench.faults.victims import NobodyError
from bench.signals import Stopped, cont, kill, stop

_TURN_S = 0.1
_STANDS_STILL = 0.8
_STEPS_S = (5.0, 120.0)


class Harm(Protocol):
    """What was done to somebody. Call `look` now and then, and `undo` in the end."""

    def look(self) -> None:
        """Note what became of them so far."""
        ...

    def undo(self) -> None:
        """End it; the second time does nothing."""
        ...

    def notes(self) -> list[str]:
        """Say what became of them."""
        ...


@dataclass(frozen=True)
class Tools:
    """What only a system that was started for it can be harmed with.

    Attributes:
        group: The cgroup that all of its processes were born in; None: nothing can be cut off.
        clocks: What its processes ask for the time; None: no clock can be stepped.
    """

    group: Path | None = None
    clocks: Clocks | None = None


def harm(verb: str, pids: Sequence[int], tools: Tools, random: Random) -> Harm:
    """Do it.

    Raises:
        NobodyError: If it can't be done here.
    """
    if verb == "kill":
        return Killed(pids)
    if verb == "stop":
        return Stopped(pids)
    if verb == "slow":
        return Slowed(pids)
    if verb == "cut":
        if tools.group is None:
            raise NobodyError("only a system that `bench faults` started as root can be cut off")
        return Cut(pids, tools.group)
    if tools.clocks is None:
        raise NobodyError("only the clocks of a system that `bench faults` started can be stepped")
    seconds = random.uniform(*_STEPS_S) * random.choice((-1, 1))
    return Stepped(pids, tools.clocks, seconds)


class Killed:
    """Processes that got SIGKILL."""

    def __init__(self, pids: Sequence[int]) -> None:
        kill(pids)

    def look(self) -> None:
        """See `Harm`."""

    def undo(self) -> None:
        """See `Harm`."""

    def notes(self) -> list[str]:
        """See `Harm`."""
        return []


class Slowed:
    """Processes that stand still most of the time."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = pids
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="slowing", daemon=True)
        self._thread.start()

    def look(self) -> None:
        """See `Harm`."""

    def undo(self) -> None:
        """See `Harm`."""
        self._over.set()
        self._thread.join()

    def notes(self) -> list[str]:
        """See `Harm`."""
        return []

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                stop(self._pids)
                self._over.wait(_TURN_S * _STANDS_STILL)
                cont(self._pids)
                self._over.wait(_TURN_S * (1 - _STANDS_STILL))
        finally:
            cont(self._pids)


class Stepped:
    """Processes whose wall clock is wrong by so many seconds."""

    def __init__(self, pids: Sequence[int], clocks: Clocks, seconds: float) -> None:
        self._clocks = clocks
        self._seconds = seconds
        clocks.step(pids, seconds)

    def look(self) -> None:
        """See `Harm`."""

    def undo(self) -> None:
        """See `Harm`."""
        with suppress(ValueError):  # the map is closed: so is the system
            self._clocks.step((), 0.0)

    def notes(self) -> list[str]:
        """See `Harm`."""
        return [f"its clock went {self._seconds:+.0f} s"]
