"""SIGINT and SIGTERM as something that can be waited for, also in the middle of a start."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from types import FrameType
from typing import Any, Self


class Stopped(Exception):  # noqa: N818  (what happened)
    """Somebody asked for the end; what had begun is to be undone."""


class Asked:
    """Whether the end was asked for. A signal interrupts nothing but the waits in here.

    So no step of a start is cut in two, and what it has started can be stopped. A pipe carries the
    news: a lock that a handler needs could be held by the very thread that it interrupts.
    """

    def __init__(self) -> None:
        """Hear nothing yet."""
        self._ear, self._mouth = os.pipe()
        os.set_blocking(self._mouth, False)
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Listen."""
        self.listen()
        return self

    def listen(self) -> None:
        """Take both signals (again, if somebody else has taken them meanwhile)."""
        for number in (signal.SIGINT, signal.SIGTERM):
            before = signal.signal(number, self._ask)
            self._before.setdefault(number, before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        with contextlib.suppress(BlockingIOError):
            os.write(self._mouth, b".")

    def wait(self, seconds: float) -> bool:
        """Return whether the end was asked for, as soon as it is, or after `seconds`."""
        return bool(select.select([self._ear], [], [], seconds)[0])

    def pause(self, seconds: float) -> None:
        """Sleep.

        Raises:
            Stopped: If the end was asked for, before or meanwhile.
        """
        if self.wait(seconds):
            raise Stopped

    def __exit__(self, *_: object) -> None:
        """Leave the signals to whoever had them before."""
        for number, before in self._before.items():
            signal.signal(number, before)
        os.close(self._ear)
        os.close(self._mouth)
