"""The hot state as the runtime sees it: unsaved games as they are behind a recent place of the log.

It's written behind, a second late, and spares a take-over the log between the snapshots' checkpoint
and its own. It may be away, wiped, or lose what it likes at any time: then a take-over reads more.

A partition's *mark* says who wrote last, and the offset below which every event is in a snapshot or
in a game that is listed here. An incremental write counts only on top of the mark that its writer
left; a whole one replaces what is here, unless that is newer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct


class Warm(Struct, array_like=True, frozen=True, gc=False):
    """A game at `seq`, all of it durable. Fields are frozen; new ones come last.

    Attributes:
        epoch: Of the owner that wrote it.
        seq: The event that `state` is as of.
        saved: The seq that the snapshot store was known to hold.
        ended: Whether one of the events `saved + 1 .. seq` ended the game.
        state: The packed state, as snapshots have it.
        tail: The JSON of events `saved + 1 .. seq`, each with a line's end.
    """

    epoch: int
    seq: int
    saved: int
    ended: bool
    state: bytes
    tail: bytes


class Mark(NamedTuple):
    """Who wrote last, and up to where; `listed` games prove that nothing of it was lost."""

    epoch: int
    offset: int
    listed: int


class Entry(NamedTuple):
    """One game of a write.

    Attributes:
        game, warm: Which game, and what it is.
        listed: Whether a take-over needs it: no snapshot is known to hold all of it.
        deadline: When it wants to be woken, in ms since the epoch.
        ttl: In seconds.
    """

    game: str
    warm: Warm
    listed: bool
    deadline: int | None
    ttl: int


class Write(NamedTuple):
    """What becomes visible at once, or not at all.

    Attributes:
        partition, epoch, offset: Whose, and the mark that it leaves.
        base: The mark that its writer left last; None: it's whole, all that isn't in it goes.
        games: What has changed; if it's whole, everything that no snapshot is known to hold.
        gone: Listed games that snapshots hold by now.
        deadlines: If it's whole, (game, ms since the epoch) of the games that have one.
    """

    partition: int
    epoch: int
    offset: int
    base: Mark | None
    games: Sequence[Entry]
    gone: Sequence[str] = ()
    deadlines: Sequence[tuple[str, int]] = ()


class Hot(NamedTuple):
    """What was left of a partition, complete when it was read: each game listed was there."""

    mark: Mark
    games: Mapping[str, int]
    """The seq that each listed game has at least."""
    deadlines: Sequence[tuple[str, int]]


class Overtaken(Exception):  # noqa: N818  (what it is)
    """What is there is newer than the write."""


class HotState(Protocol):
    """Every method but `close` may raise `persistence.log.Unavailable`, and soon."""

    @property
    def healthy(self) -> bool:
        """Whether it's worth asking; while it isn't, nothing is waited for."""
        ...

    async def read(self, partition: int) -> Hot | None:
        """Return what was left of a partition; None if there's nothing, or it isn't complete."""
        ...

    async def load(self, games: Sequence[str]) -> dict[str, Warm]:
        """Return those of `games` that are there and can be read."""
        ...

    async def write(self, write: Write) -> Mark | None:
        """Apply a write and return the mark that it left; None if it doesn't fit to what is there.

        Raises:
            Overtaken: If what is there is newer.
        """
        ...

    async def drop(self, partition: int, mark: Mark) -> None:
        """Forget what was left under `mark`: it isn't of this log."""
        ...

    async def close(self) -> None:
        """Hang up."""
        ...
