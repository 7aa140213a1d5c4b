"""One live game inside its partition, and the record it rests as.

A cell has a single writer, its partition, so nothing here locks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from actors.behaviour import instant
from runtime import marks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.batch import Batch, Sink
    from runtime.behaviours import Kind
    from runtime.presence import Presence


class Cell:
    """A game in memory.

    There are a hundred thousand of them: what isn't needed takes no room, and what many have in
    common is one object (moments, groups of links).

    Attributes:
        game, kind: Which game, and what it is.
        state: The behaviour's state after event `seq`; None before the first.
        seq: The newest event's number; those up to `durable` are known to be in the log.
        durable: See `seq`.
        saved: The seq that the snapshot store holds.
        saving: The seq of a snapshot on its way there, or 0.
        ended: Whether an event that ends the game has come since it was loaded.
        lines: The JSON of events `saved + 1 .. seq`.
        marks: The memory of idempotency keys (`runtime.marks`).
        batch: The newest batch with an event of this game that is not durable yet.
        timer: When the agenda of deadlines looks at this game next, in ms since the epoch.
        at: Time of the newest event, in ms since the epoch.
        touched: When somebody last asked for it, in seconds of the loop's clock, a second coarse.
        links: The gateways' links that watch it.
        presence: Who is connected; None if nobody is or was.
    """

    __slots__ = (
        "at",
        "batch",
        "durable",
        "ended",
        "game",
        "kind",
        "lines",
        "links",
        "marks",
        "presence",
        "saved",
        "saving",
        "seq",
        "state",
        "timer",
        "touched",
    )

    def __init__(self, game: str, kind: Kind) -> None:
        self.game = game
        self.kind = kind
        self.state: Any = None
        self.seq = 0
        self.durable = 0
        self.saved = 0
        self.saving = 0
        self.ended = False
        self.lines: tuple[bytes, ...] = ()
        self.marks = b""
        self.batch: Batch | None = None
        self.timer: int | None = None
        self.at = 0
        self.touched = 0.0
        self.links: tuple[Sink, ...] = ()
        self.presence: Presence | None = None

    @property
    def clean(self) -> bool:
        """Whether the store holds all there is."""
        return self.saved == self.seq and self.batch is None

    @property
    def tail(self) -> bytes:
        """The lines in one piece, each with its end."""
        return b"".join([line + b"\n" for line in self.lines])

    @tail.setter
    def tail(self, tail: bytes) -> None:
        self.lines = tuple(tail.split(b"\n")[:-1])

    def remember(self, values: Sequence[bytes]) -> None:
        """Keep the JSON of the events that come after the tail."""
        self.lines += tuple(values)

    def events(self, after: int, to: int) -> Sequence[bytes]:
        """Return the events `after + 1 .. to`; the tail must reach so far back."""
        return self.lines[after - self.saved : to - self.saved]

    def stored(self, seq: int) -> None:
        """Note that the store holds all events up to `seq`, and forget them."""
        self.lines = self.lines[seq - self.saved :]
        self.saved = seq

    def pack(self) -> bytes:
        """Return the record that `restore` reads."""
        return _encode(
            Rest(2, self.kind.name, self.seq, self.at, self.marks, self.kind.pack(self.state))
        )


class Rest(Struct, array_like=True, frozen=True, gc=False):
    """A packed game with the runtime's memory of it. Fields are frozen; new ones come last.

    Version 1 has marks in their first format.
    """

    version: int
    kind: str
    seq: int
    at: int
    marks: bytes
    state: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Rest).decode


def restore(game: str, kinds: dict[str, Kind], data: bytes) -> Cell:
    """Return the cell of a record that is in the store.

    Raises:
        KeyError: If the behaviour isn't installed here.
        Exception: Whatever the behaviour raises on a record that it can't read.
    """
    rest = _decode(data)
    cell = Cell(game, kinds[rest.kind])
    cell.state = cell.kind.unpack(rest.state)
    cell.seq = cell.durable = cell.saved = rest.seq
    cell.marks = rest.marks if rest.version > 1 else marks.from_first_version(rest.marks)
    cell.at = rest.at
    return cell


def stamp(event: Any, game: str, seq: int, now: int) -> None:
    """Make an event a fact: which game's, which number, when."""
    event.game = game
    event.seq = seq
    event.at = instant(now)
