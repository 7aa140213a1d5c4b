"""Games packed in memory, smaller than the store has them, until somebody asks."""

from __future__ import annotations

import zlib

import msgspec
from msgspec import Struct

from runtime import marks
from runtime.behaviours import Kind
from runtime.cell import Cell

_WINDOW = -10
"""A raw stream that looks back 1 KB, which is more than a record."""
_MEMORY = 4


class _Rested(Struct, array_like=True, frozen=True, gc=False):
    kind: str
    seq: int
    at: int
    timer: int | None
    marks: bytes
    state: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Rested).decode


class Resting:
    """Packed games by id, the oldest first.

    A record is compressed against the first one that came: most of a game is what other games have
    too. The format is nobody else's business; it's never stored.
    """

    def __init__(self, kinds: dict[str, Kind]) -> None:
        """Hold games of `kinds`."""
        self._kinds = kinds
        self._records: dict[str, bytes] = {}
        self._sample = b""
        self._begun = zlib.compressobj()

    def __len__(self) -> int:
        return len(self._records)

    def add(self, cell: Cell) -> None:
        """Pack a cell, all of which the store holds."""
        memory = marks.by_column(cell.marks)
        state = cell.kind.pack(cell.state)
        record = _encode(_Rested(cell.kind.name, cell.seq, cell.at, cell.timer, memory, state))
        if not self._sample:
            self._sample = record
            self._begun = zlib.compressobj(
                1, zlib.DEFLATED, _WINDOW, _MEMORY, zlib.Z_DEFAULT_STRATEGY, record
            )
        stream = self._begun.copy()  # it has read the sample: a third of the time of a new one
        self._records[cell.game] = stream.compress(record) + stream.flush()

    def take(self, game: str) -> Cell | None:
        """Take a game out and bring it to life; None if it isn't here.

        Raises:
            Exception: Whatever its behaviour raises on a record that it can't read.
        """
        packed = self._records.pop(game, None)
        if packed is None:
            return None
        rest = _decode(zlib.decompressobj(_WINDOW, self._sample).decompress(packed))
        cell = Cell(game, self._kinds[rest.kind])
        cell.state = cell.kind.unpack(rest.state)
        cell.seq = cell.durable = cell.saved = rest.seq
        cell.at, cell.timer = rest.at, rest.timer
        cell.marks = marks.by_entry(rest.marks)
        return cell

    def shrink(self, most: int) -> None:
        """Drop the oldest beyond `most`; the store has them."""
        while len(self._records) > most:
            del self._records[next(iter(self._records))]
