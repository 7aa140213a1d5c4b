"""The event log as the runtime sees it: bytes and keys, fenced by epoch.

Two implementations keep this protocol (Postgres today, Kafka beside it) and pass the same
conformance suite. The log knows no game: a record's value is opaque.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from persistence.snapshots import Snapshot


class Record(NamedTuple):
    """One event as it's stored.

    Attributes:
        game: Id of the game, which is also the key that places the record in its partition.
        seq: The event's number within its game, from 1 without gaps.
        value: The event's JSON.
        key: What recognises a repeat of the command behind it; empty if there is nothing.
    """

    game: str
    seq: int
    value: bytes
    key: bytes = b""


Placed = tuple[int, Record]
"""A record with its offset."""


class Claim(Struct, frozen=True):
    """What an owner holds after it has opened a partition.

    Attributes:
        partition: Which one.
        epoch: Under which epoch; appends of any lower one no longer count.
        head: No record to come has a lower offset; everything below it is history to adopt.
        checkpoint: Replay begins here: all below is in the snapshots.
        alive_until: Until when (ms since the epoch) the owner before is known to have lived;
            0 if there was none.
        at: When the claim was made, by the log's clock (ms since the epoch).
        outages: Every (from, to) of the last 30 days, in ms since the epoch, in which nobody
            owned the partition, this claim's own included: nobody's clock runs in them.
    """

    partition: int
    epoch: int
    head: int
    checkpoint: int
    alive_until: int
    at: int
    outages: Sequence[tuple[int, int]] = ()


class Unsaved(NamedTuple):
    """A game of which the store doesn't hold all.

    Attributes:
        game, seq: Which game, and how far it is in memory.
        since: Returns its snapshot for a store that holds the game at a given seq (0: not at all).
    """

    game: str
    seq: int
    since: Callable[[int], Snapshot]


class Memory(Protocol):
    """What an owner has in memory, for a log that goes on in another place while it's broken."""

    async def whole(self) -> None:
        """Wait until every game that a replay has to bring to life lives."""
        ...

    def surrender(self) -> tuple[Sequence[Record], Sequence[Unsaved]]:
        """Join what waits for an append to the one under way; return it, and all unsaved games.

        They are at one moment: each game is as the appends under way and these records leave it.
        The append under way is then of both.

        Raises:
            Unavailable: If a replay needs more than that just now: a game can't be packed, or what
                an event brings about in other games isn't done yet. Nothing has changed.
        """
        ...


class LogError(Exception):
    """Root of what a log raises."""


class Fenced(LogError):  # noqa: N818  (the field's own word)
    """Somebody holds the partition at a newer epoch (or this epoch was opened before)."""

    def __init__(self, partition: int, epoch: int) -> None:
        super().__init__(f"partition {partition} is not ours at epoch {epoch}")
        self.partition = partition
        self.epoch = epoch


class Unavailable(LogError):  # noqa: N818  (as in HTTP)
    """The store does not answer; nothing is known to have happened. Try again later."""


class EventLog(Protocol):
    """Appends of one partition are in order and one at a time; those of many run together."""

    async def claim(self, partition: int, epoch: int, owner: str, known: int = 0) -> Claim:
        """Open `partition` at `epoch` and shut out every older owner.

        When it returns, no append under an older epoch can succeed any more, and every one that
        did lies below `head`. What lies below `known` the caller has from elsewhere: a log that
        reads ahead needn't begin before it.

        Raises:
            Fenced: If the assignment names another owner or epoch, or this epoch was opened before.
            Unavailable: If the store does not answer; a claim of the same epoch may be tried again
                only if it is known not to have happened.
        """
        ...

    def attach(self, partition: int, epoch: int, memory: Memory) -> None:
        """Say where the games of a claimed partition are; once, before the first append."""
        ...

    def release(self, partition: int, epoch: int) -> None:
        """Say that nothing more will be appended under this claim."""
        ...

    def append(self, partition: int, epoch: int, records: Sequence[Record]) -> Future[int]:
        """Append `records`; the future's result is the offset of the first of them.

        At most one append per partition may be under way. While the store is away, the append
        stays in doubt and is settled when it returns: the future never fails for that reason.
        Its only errors are `Fenced` (it isn't ours any more; what was not in doubt is not appended,
        and never will be) and, after `close`, `Unavailable`.
        """
        ...

    def read(self, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Placed]]:
        """Yield the records of offsets `start` to `end` (exclusive) in order, in batches.

        Offsets only grow, but not every one need be a record's.
        """
        ...

    async def touch(self, owned: Sequence[tuple[int, int]]) -> Sequence[int]:
        """Note that the owner of these (partition, epoch) lives; return the partitions lost.

        It moves `alive_until` of the next claim, so an owner touches every second.
        """
        ...

    def status(self) -> Mapping[str, object]:
        """Return how the log does, for GET /shards: its kind, and whether appends are answered."""
        ...

    async def checkpoint(self, partition: int, epoch: int, offset: int) -> None:
        """Note that replay may begin at `offset`; moves forward only, and only for the owner."""
        ...

    async def close(self) -> None:
        """Give up what is in doubt and free the connections."""
        ...
