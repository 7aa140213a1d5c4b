"""How long appends take, summed up: for metrics."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future
from collections.abc import Mapping


class AppendTimes:
    """Counts appends and their time. Costs a callback for each."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        """Measure by the clock of `loop`."""
        self._loop = loop
        self._in_flight = 0
        self._appends = 0
        self._seconds = 0.0

    def begin(self, append: Future[int]) -> Future[int]:
        """Measure an append from now on, and return it."""
        since = self._loop.time()
        self._in_flight += 1

        def over(done: Future[int]) -> None:
            self._in_flight -= 1
            if not done.cancelled() and done.exception() is None:
                self._appends += 1
                self._seconds += self._loop.time() - since

        append.add_done_callback(over)
        return append

    def status(self) -> Mapping[str, object]:
        """Return what there is to say, for `EventLog.status`; only what was acknowledged counts."""
        return {
            "in_flight": self._in_flight,
            "appends": self._appends,
            "append_seconds": round(self._seconds, 6),
        }
