"""A game's events from the first on, for who reads the topic and may be ahead of the snapshots.

Whoever has the record of event n from Kafka has all events 1 .. n somewhere:

- Up to some seq they are in the stored history, for good, whatever Kafka has forgotten.
- All behind that are in Kafka, in front of the record: a game's events are appended in order, to
  one partition, and a drained outbox keeps the order. And not below the partition's checkpoint,
  because it's noted only when everything below is in stored histories. (Events that waited in the
  outbox were counted from the offset behind which they'd go; they stand there or later.)

So the checkpoint is read first, then the history: what is missing in it lies between. The end of a
game is saved at once, a quarter of a second after its append; so before Kafka is read, which is
a second time and much more than the one game, the store gets some time to catch up. A game in
quarantine never is in the store as a whole; it's read from Kafka then.
"""

from __future__ import annotations

import asyncio

from persistence.database import Database
from persistence.kafka.brokers import Brokers
from persistence.kafka.consumer_plan import Place
from persistence.log import LogError, Record, Unavailable
from persistence.postgres_snapshots import PostgresSnapshots
from runtime.history import unpack_events


class NotYet(Unavailable):
    """The store will have it in a moment."""


class Incomplete(LogError):  # noqa: N818  (what it is)
    """Some events of a game are nowhere (any more)."""

    def __init__(self, game: str, missing: int, seq: int) -> None:
        super().__init__(
            f"event {missing} of game {game}, which has {seq}, is neither stored nor in Kafka"
        )
        self.game = game
        self.missing = missing


class WholeHistory:
    """Reads games from the store, and what isn't there yet from Kafka."""

    def __init__(self, database: Database, brokers: Brokers, patience_s: float) -> None:
        """Give the store `patience_s` to catch up with Kafka."""
        self._database = database
        self._snapshots = PostgresSnapshots(database)
        self._brokers = brokers
        self._patience_s = patience_s
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, tuple[str, float]] = {}
        """For which game a partition waits, and since when."""

    async def up_to(self, place: Place, game: str, seq: int, age_s: float) -> list[bytes]:
        """Return events 1 to `seq` of a game; the last one's record is at `place`, and so old.

        Raises:
            NotYet: If the store isn't so far, and is to get more time. Ask again.
            Unavailable: If Postgres or Kafka doesn't answer.
            Incomplete: If an event is missing.
        """
        checkpoint = await self._checkpoint(place.partition)
        stored = unpack_events(await self._snapshots.history(game))[:seq]
        if len(stored) < seq:
            if age_s < self._patience_s:
                self._wait(place.partition, game, len(stored), seq)
            stored += await self._from_kafka(place, checkpoint, game, len(stored), seq)
        self._waiting.pop(place.partition, None)
        return stored

    def _wait(self, partition: int, game: str, stored: int, seq: int) -> None:
        """Raise `NotYet` until patience is at its end, whatever the record's clock said."""
        now = self._loop.time()
        waiting, since = self._waiting.get(partition, ("", now))
        if waiting != game:
            since = now
            self._waiting[partition] = (game, now)
        if now - since < self._patience_s:
            raise NotYet(f"{stored} of the {seq} events of game {game} are stored")

    async def _checkpoint(self, partition: int) -> int:
        rows = await self._database.query(
            "SELECT checkpoint FROM partitions WHERE id = %s", partition
        )
        return rows[0][0] if rows else 0

    async def _from_kafka(
        self, place: Place, checkpoint: int, game: str, stored: int, seq: int
    ) -> list[bytes]:
        """Return events `stored + 1` to `seq`."""
        start = max(checkpoint, await self._brokers.first_offset(place.partition))
        found: dict[int, bytes] = {}
        async for batch in self._brokers.read(place.partition, start, place.offset + 1):
            for _, entry in batch:
                if isinstance(entry, Record) and entry.game == game:
                    found.setdefault(entry.seq, entry.value)
        wanted = range(stored + 1, seq + 1)
        for each in wanted:
            if each not in found:
                raise Incomplete(game, each, seq)
        return [found[each] for each in wanted]
