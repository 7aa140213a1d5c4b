"""Output commit: what is said about a game waits for the batch that holds its newest event."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from persistence.log import Record


class Batch:
    """Events that become durable together, and what may be said once they are."""

    __slots__ = ("games", "outputs", "records")

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.outputs: list[Any] = []
        self.games: set[str] = set()

    def add(self, records: Iterable[Record], output: Any) -> None:
        """Take the next events of a game, and what to say of them."""
        for record in records:
            self.records.append(record)
            self.games.add(record.game)
        self.outputs.append(output)

    def extend(self, later: Batch) -> None:
        """Take all of a batch that follows this one."""
        self.records += later.records
        self.outputs += later.outputs
        self.games |= later.games


class Batches:
    """One batch in flight while the next one fills.

    A switch to the outbox takes two: the one in flight, which may have landed in Kafka, and the
    one that was open, which surely hasn't (`following`).
    """

    def __init__(self) -> None:
        self.open = Batch()
        self.following: Batch | None = None
        self.flight: Batch | None = None

    def holding(self, game: str) -> Batch | None:
        """Return the batch with the game's newest event; None if all of its events are durable."""
        for batch in (self.open, self.following, self.flight):
            if batch is not None and game in batch.games:
                return batch
        return None

    def start(self) -> Batch:
        """Put the open batch in flight."""
        self.flight, self.open = self.open, Batch()
        return self.flight

    def landed(self) -> Batch:
        """Return the batch that was in flight: it's durable."""
        batch, self.flight = self.flight, None
        assert batch is not None
        return batch

    def follow(self) -> list[Record]:
        """Put the open batch behind the one in flight; return the records of both."""
        self.following, self.open = self.open, Batch()
        return [*(self.flight.records if self.flight else ()), *self.following.records]

    def unfollow(self) -> None:
        """Open that batch again: it wasn't sent."""
        if self.following is not None:
            self.following.extend(self.open)
            self.open, self.following = self.following, None

    def clear(self) -> tuple[frozenset[str], Sequence[Any]]:
        """Drop everything; return the games and the outputs."""
        dropped = Batch()
        for batch in (self.flight, self.following, self.open):
            if batch is not None:
                dropped.extend(batch)
        self.flight = self.following = None
        self.open = Batch()
        return frozenset(dropped.games), dropped.outputs
