"""What the runtime waits for: appends, each of them kept with an offset or broken with an error."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Sequence

from persistence.log import LogError
from persistence.ownership.actions import Release


class Append:
    """One append, or two that became one (see `Memory.surrender`): kept when the last part is."""

    __slots__ = ("_first", "_future", "_parts")

    def __init__(self, future: Future[int]) -> None:
        self._future = future
        self._parts = 1
        self._first = -1

    def join(self) -> None:
        """Wait for one part more."""
        self._parts += 1

    def landed(self, first: int) -> None:
        """A part is durable from offset `first` on."""
        if self._first < 0:
            self._first = first
        self._parts -= 1
        if not self._parts and not self._future.done():
            self._future.set_result(self._first)

    def fail(self, error: LogError) -> None:
        """It isn't ours any more, or nobody will tell."""
        if not self._future.done():
            self._future.set_exception(error)


def keep(releases: Sequence[Release], end: int) -> None:
    """Tell that all of these are durable, one behind the other; the last one ends at `end`."""
    first = end - sum(len(each.records) for each in releases)
    for release in releases:
        for append in release.outputs:
            append.landed(first)
        first += len(release.records)


def fail(appends: Sequence[Append], error: LogError) -> None:
    """Tell that none of these will be known to be durable."""
    for append in appends:
        append.fail(error)
