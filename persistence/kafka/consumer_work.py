"""What a consumer does for its events: work, dedup and dead letters in one transaction."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any, NamedTuple, Protocol

import psycopg

from persistence.database import Database
from persistence.kafka.consumed import Consumed, Cursor
from persistence.kafka.consumer_plan import Item, Stretch, fresh, reached
from persistence.kafka.dead_letters import DeadLetters
from persistence.log import LogError, Unavailable

_AWAY = (Unavailable, psycopg.ProgrammingError)
"""What no record is to blame for: a store that doesn't answer, or lacks a table or a right."""


class Work(Protocol):
    """What is done for each event that's wanted.

    Attributes:
        name: What the consumer is called: in Kafka's group, the table of what is settled, metrics.
        wanted: The `ce_type`s of its events.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def wanted(self) -> Container[bytes]: ...  # noqa: D102

    async def prepare(self, item: Item) -> Any:
        """Return what `store` needs for an event. It changes nothing, and may be asked again.

        Raises:
            Unavailable: If something that's needed isn't there yet; it's tried again for ever.
            Exception: If it can't be done for this event; it's a dead letter after some tries.
        """
        ...

    async def store(self, cursor: Cursor, prepared: Sequence[Any]) -> None:
        """Do the work in the transaction of `cursor`, for events that never were settled before."""
        ...


class Counts:
    """Everything that's counted of one consumer."""

    def __init__(self) -> None:
        self.records = 0
        self.settled = 0
        self.duplicates = 0
        self.dead_letters = 0
        self.waits = 0
        self.failures = 0
        self.commits = 0
        self.failed_commits = 0
        self.rebalances = 0


class _Ready(NamedTuple):
    """The beginning of a stretch, as far as it can be settled now.

    Attributes:
        length: How many items that is, those that were settled before included.
        prepared: Events, each with what its `store` needs.
        letters: Those that are given up.
    """

    length: int
    prepared: list[tuple[Item, Any]]
    letters: list[Item]

    @property
    def items(self) -> list[Item]:
        return [*(item for item, _ in self.prepared), *self.letters]


class Settler:
    """Settles stretches, the head of one at a time."""

    def __init__(
        self, work: Work, database: Database, letters: DeadLetters, counts: Counts, most: int
    ) -> None:
        """Do `work` for at most so many events in one transaction of `database`."""
        self.consumed = Consumed(database, work.name)
        self._work = work
        self._database = database
        self._letters = letters
        self._counts = counts
        self._most = most

    async def advance(self, stretch: Stretch, now: float) -> None:
        """Settle as much of the stretch's head as goes at once; say on it what's wrong.

        `now` is by the loop's clock.
        """
        batch = stretch.head(self._most)
        try:
            ready, trouble = await self._prepare(stretch, batch)
            if ready.items:
                await self._settle(stretch, ready)
        except _AWAY as error:
            self._counts.waits += 1
            stretch.wait(now, error)
            return
        except Exception as error:  # noqa: BLE001  (whatever a consumer's work can raise)
            self._counts.failures += 1
            stretch.failed(now, len(batch), error)
            return
        self._counts.duplicates += ready.length - len(ready.items)
        self._counts.settled += len(ready.prepared)
        self._counts.dead_letters += len(ready.letters)
        stretch.settled(ready.length)
        if ready.length or trouble is None:
            return
        if isinstance(trouble, _AWAY):
            self._counts.waits += 1
            stretch.wait(now, trouble)
        else:
            self._counts.failures += 1
            stretch.failed(now, 1, trouble)

    async def _prepare(
        self, stretch: Stretch, batch: Sequence[Item]
    ) -> tuple[_Ready, Exception | None]:
        """Prepare until something is wrong; what is behind that waits for it."""
        known = await self.consumed.lettered(batch)
        new = {item.place for item in fresh(batch, await self.consumed.last(batch))} - known
        prepared: list[tuple[Item, Any]] = []
        letters: list[Item] = []
        for length, item in enumerate(batch):
            if item.place not in new:
                continue
            if item.event is None or stretch.hopeless:
                letters.append(item)
            else:
                try:
                    prepared.append((item, await self._work.prepare(item)))
                except Exception as error:  # noqa: BLE001  (ditto)
                    return _Ready(length, prepared, letters), error
        return _Ready(len(batch), prepared, letters), None

    async def _settle(self, stretch: Stretch, ready: _Ready) -> None:
        """Do the work, and note that it's done, in one transaction."""
        for item in ready.letters:
            if item.place not in stretch.copied:
                await self._letters.send(item, *_blame(stretch, item))
                stretch.copied.add(item.place)
        async with self._database.transaction() as cursor:
            games = [item.game for item in ready.items if item.event is not None]
            last = await self.consumed.lock(cursor, games)
            new = {item.place for item in fresh(ready.items, last)}
            await self.consumed.note(
                cursor,
                [(item, _blame(stretch, item)[1]) for item in ready.letters if item.place in new],
            )
            todo = [prepared for item, prepared in ready.prepared if item.place in new]
            if todo:
                await self._work.store(cursor, todo)
            await self.consumed.mark(cursor, reached(i for i in ready.items if i.place in new))

    async def redrive(self, item: Item) -> bool:
        """Do the work for a dead letter; False if nobody waits for it (any more).

        Raises:
            Unavailable: If something that's needed isn't there.
            Exception: If it can't be done still; the reason is noted.
        """
        try:
            if item.event is None:
                raise ValueError(item.wrong)
            prepared = await self._work.prepare(item)
            async with self._database.transaction() as cursor:
                waits = await self.consumed.settle(cursor, item.place)
                if waits:
                    await self._work.store(cursor, [prepared])
        except _AWAY:
            raise
        except Exception as error:
            await self.consumed.blame(item.place, described(error))
            raise
        return waits


def _blame(stretch: Stretch, item: Item) -> tuple[str, str]:
    """Return (the exception's name, the reason) of a record that is given up."""
    if item.event is None or stretch.error is None:
        return "", item.wrong
    return type(stretch.error).__name__, described(stretch.error)


def described(error: Exception) -> str:
    """Return an error in words, with its kind where the words don't name it."""
    if isinstance(error, LogError):
        return str(error)
    return f"{type(error).__name__}: {error}"
