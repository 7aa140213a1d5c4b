"""Reads a stretch of a partition, fetch by fetch."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial

from persistence.kafka import wire
from persistence.kafka.nodes import Nodes, translated
from persistence.kafka.patience import patiently
from persistence.kafka.records import Entry, decode
from persistence.log import LogError, Unavailable

Found = tuple[int, Entry]

_FETCH_BYTES = 256 << 10  # bigger ones are slower
_FETCH_MS = 100
_PIECE = 500  # a few milliseconds' work; then others have their turn
_OUT_OF_RANGE = 1

_log = logging.getLogger(__name__)


class Forgotten(LogError):  # noqa: N818  (as the family's others)
    """The log begins behind the offset that was asked for: retention has taken what was there."""

    def __init__(self, partition: int, start: int, first: int) -> None:
        super().__init__(f"partition {partition} begins at {first}: {start} is gone")
        self.partition = partition
        self.start = start
        self.first = first


def pieces(data: bytes, start: int, end: int) -> Iterator[tuple[Sequence[Found], int]]:
    """Yield what `data` holds of `start` to `end`, each time with the offset to go on from.

    Raises:
        Unavailable: If it can't be understood.
    """
    with translated(f"what is at {start}"):
        yield from _pieces(data, start, end)


def _pieces(data: bytes, start: int, end: int) -> Iterator[tuple[Sequence[Found], int]]:
    piece: list[Found] = []
    position = start
    for records, following in wire.batches(data):
        for record in records:
            offset = record.offset
            if offset < start:
                continue
            if offset >= end:
                break
            position = offset + 1
            entry = decode(record.key, record.value, record.headers)
            if entry is None:
                _log.warning("the record at %d isn't one of ours: left out", offset)
                continue
            piece.append((offset, entry))
            if len(piece) == _PIECE:
                yield piece, position
                piece = []
        position = max(position, following)
        if position >= end:
            break
    if position > start:
        yield piece, position


class Reader:
    """Reads one partition."""

    def __init__(self, nodes: Nodes, topic: str, partition: int, patience_s: float) -> None:
        """`patience_s` is how long it goes on without getting anything."""
        self._nodes = nodes
        self._topic = topic
        self._partition = partition
        self._patience_s = patience_s
        self._name = f"partition {partition} of {topic}"

    async def read(self, start: int, end: int) -> AsyncIterator[Sequence[Found]]:
        """See `brokers.Brokers.read`."""
        position = start
        while position < end:
            attempt = partial(self._fetch, position)
            data = await patiently(self._patience_s, self._name, attempt)
            for piece, reached in pieces(data, position, end):
                position = reached
                if piece:
                    yield piece
                await asyncio.sleep(0)

    async def offset(self, which: int) -> int:
        """Return where the log begins (`wire.EARLIEST`) or ends (`wire.LATEST`)."""
        return await patiently(self._patience_s, self._name, partial(self._offset, which))

    async def _offset(self, which: int) -> int:
        request = wire.offsets(self._topic, self._partition, which)
        code, offset = wire.offset(await self._ask(request))
        await self._check(code)
        return offset

    async def _fetch(self, position: int) -> bytes:
        request = wire.fetch(self._topic, self._partition, position, _FETCH_MS, _FETCH_BYTES)
        code, data = wire.fetched(await self._ask(request))
        if code == _OUT_OF_RANGE:
            first = await self._offset(wire.EARLIEST)
            if position < first:
                raise Forgotten(self._partition, position, first)
        await self._check(code)
        if not data:
            raise Unavailable(f"nothing comes from {position} on")
        return data

    async def _ask(self, request: object) -> object:
        return await self._nodes.ask(self._nodes.leader(self._partition), request, "read")

    async def _check(self, code: int) -> None:
        if code:
            await self._nodes.refresh()
            raise Unavailable(f"error {code}")
