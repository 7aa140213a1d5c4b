"""What a consumer makes of the records that it fetched: pure, without Kafka, Postgres or a clock.

    records --sift--> items, in order --Stretch.head--> a few at a time --fresh--> those to work on

A record is passed over (a claim, an event that isn't wanted), is an event, or can't be understood.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from persistence.kafka.records import Header, decode
from persistence.log import Record

_MOST_SEQ = (1 << 31) - 1
_FIRST_PAUSE_S = 0.05
_LAST_PAUSE_S = 5.0
_LONG_S = 2.0


class Place(NamedTuple):
    """Where a record is."""

    topic: str
    partition: int
    offset: int


class Fetched(Protocol):
    """A record as a client of Kafka gives it; `timestamp` is in ms since the epoch."""

    @property
    def topic(self) -> str: ...  # noqa: D102
    @property
    def partition(self) -> int: ...  # noqa: D102
    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def timestamp(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Sequence[Header]: ...  # noqa: D102


class Item(NamedTuple):
    """A record that something has to be done about.

    Attributes:
        place: Where it is; of a dead letter: where it was first.
        record: As it was fetched.
        event: What it says; None if it can't be understood.
        wrong: Why not.
    """

    place: Place
    record: Fetched
    event: Record | None
    wrong: str = ""

    @property
    def game(self) -> str:
        """The event's game; "" if nobody knows."""
        return self.event.game if self.event is not None else ""

    @property
    def seq(self) -> int:
        """The event's number in its game; 0 if nobody knows."""
        return self.event.seq if self.event is not None else 0


def sift(records: Iterable[Fetched], wanted: Container[bytes]) -> list[Item]:
    """Return what is to be done something about, in order.

    `wanted` are the `ce_type`s of the events that are worked on. Claims and all other events are
    passed over; a record without a type, or a wanted one that can't be read, isn't.
    """
    items: list[Item] = []
    for record in records:
        kind = next((value for name, value in record.headers if name == "ce_type"), None)
        if kind is None or kind in wanted:
            items.append(understand(record, Place(record.topic, record.partition, record.offset)))
    return items


def understand(record: Fetched, place: Place) -> Item:
    """Return the item of one record that was first at `place`."""
    entry = decode(record.key, record.value, record.headers)
    if not isinstance(entry, Record):
        return Item(place, record, None, "not an event with a key, a value and the header seq")
    if not 0 < entry.seq <= _MOST_SEQ:
        return Item(place, record, None, f"no number of an event: {entry.seq}")
    if not entry.game or "\0" in entry.game:
        return Item(place, record, None, f"no id of a game: {entry.game!r}")
    return Item(place, record, entry)


def fresh(items: Iterable[Item], last: Mapping[str, int]) -> list[Item]:
    """Return those that weren't settled before, each once; `last` is each game's last seq.

    What can't be understood has no number to know it again by, and is always fresh.
    """
    reached = dict(last)
    found: list[Item] = []
    for item in items:
        if item.event is not None:
            if item.seq <= reached.get(item.game, 0):
                continue
            reached[item.game] = item.seq
        found.append(item)
    return found


def reached(items: Iterable[Item]) -> dict[str, int]:
    """Return each game's highest seq."""
    seqs: dict[str, int] = {}
    for item in items:
        if item.event is not None:
            seqs[item.game] = max(item.seq, seqs.get(item.game, 0))
    return seqs


class Stretch:
    """What was fetched of one partition and isn't settled yet, and how it goes.

    It's worked on from its head, in order: a record is never settled before those in front of it.
    """

    def __init__(self, items: Sequence[Item], end: int, attempts: int) -> None:
        """`end` is the offset behind all records; one is given up after `attempts` failures."""
        self._items = deque(items)
        self._end = end
        self._attempts = attempts
        self._singly = 0
        self._failures = 0
        self._pause = _FIRST_PAUSE_S
        self.due = 0.0
        """When to try next, by the loop's clock."""
        self.error: Exception | None = None
        """Why it isn't settled; None if nothing was wrong."""
        self.copied: set[Place] = set()
        """Of which records there's a dead letter already, though nobody has noted it."""

    @property
    def position(self) -> int:
        """The offset below which everything is settled, which may be committed."""
        return self._items[0].place.offset if self._items else self._end

    @property
    def done(self) -> bool:
        """Whether everything is settled."""
        return not self._items

    @property
    def stuck(self) -> bool:
        """Whether it has waited for longer than anything ordinary takes."""
        return self._pause > _LONG_S

    @property
    def hopeless(self) -> bool:
        """Whether the head has failed too often: it's a dead letter."""
        return self._failures >= self._attempts

    def head(self, most: int) -> list[Item]:
        """Return what to try now, together: at most so many."""
        most = 1 if self._singly or self.hopeless else most
        return [self._items[at] for at in range(min(most, len(self._items)))]

    def settled(self, count: int) -> None:
        """Note that the first `count` are done, or are dead letters."""
        for _ in range(count):
            self._items.popleft()
        self._singly = max(0, self._singly - count)
        if count:
            self._failures = 0
            self._pause = _FIRST_PAUSE_S
            self.due = 0.0
            self.error = None

    def wait(self, now: float, error: Exception) -> None:
        """Something that's needed isn't there: try again later, as often as it takes."""
        self.error = error
        self.due = now + self._pause
        self._pause = min(2 * self._pause, _LAST_PAUSE_S)

    def failed(self, now: float, count: int, error: Exception) -> None:
        """The first `count` failed together. Of several nobody knows whose fault it is."""
        if count > 1:
            self._singly = count
        else:
            self._failures += 1
        self.wait(now, error)
        if count > 1 or self._failures == self._attempts:
            self.due = 0.0
