"""The store of packed games, their history, and the list of who played which.

Snapshots hold durable states only and move a game forward only. A game's row holds its whole
event history in chunks, so that resume works at any age and an ended game is an archive entry.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from msgspec import Struct


class Snapshot(Struct, frozen=True):
    """One write: a game at `seq`, and the events since the stored one.

    Attributes:
        game, partition, kind: Which game, where it lives, what it is.
        base: The seq that the store is thought to hold (0: none). The write counts only if so.
        seq: The seq of `state`.
        state: The packed state (with the runtime's own memory of the game around it).
        chunk: The packed events `base + 1 .. seq`.
        status: "open", "started" or "ended".
        moves: How many moves stand on the board.
        deadline: When the game wants to be woken, in ms since the epoch.
        seats: The players, in the order of the seats; None for an empty one.
        taken_at: When, in ms since the epoch.
    """

    game: str
    partition: int
    kind: str
    base: int
    seq: int
    state: bytes
    chunk: bytes
    status: str
    moves: int
    deadline: int | None
    seats: Sequence[str | None]
    taken_at: int


class Stored(Struct, frozen=True):
    """A game as it was read back."""

    game: str
    kind: str
    seq: int
    state: bytes
    deadline: int | None


class Played(Struct, frozen=True):
    """One line of a player's list of ended games, newest first."""

    game: str
    kind: str
    ended_at: int
    moves: int


class SnapshotStore(Protocol):
    """Where games rest. Every method may raise `persistence.log.Unavailable`."""

    async def save(self, snapshots: Sequence[Snapshot]) -> dict[str, int]:
        """Write all of them in one transaction; return the seq that each game's row now holds.

        A row whose seq is not the snapshot's `base` is left as it is (the answer tells its seq),
        so that a repeat of a write, or a write of an owner that was overtaken, does no harm.
        """
        ...

    async def load(self, games: Sequence[str]) -> dict[str, Stored]:
        """Return those of `games` that are stored."""
        ...

    async def history(self, game: str) -> Sequence[bytes]:
        """Return the chunks of the game's history, in order; empty if it isn't stored."""
        ...

    def deadlines(self, partition: int) -> AsyncIterator[Sequence[tuple[str, int]]]:
        """Yield (game, deadline) of every stored game of the partition that has one, in batches."""
        ...

    async def played(self, user: str, before: tuple[int, str], limit: int) -> Sequence[Played]:
        """Return the user's ended games in the order of (end, id), last first, before a place.

        `before` is such a place: ms since the epoch, and an id; with "" it's before all games that
        ended at that moment.
        """
        ...

    async def close(self) -> None:
        """Free the connections."""
        ...
