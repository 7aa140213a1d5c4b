"""A game's events as they rest in its stored record: chunks of compressed JSON lines."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

_ZLIB_LINES = b"\x01"
_FASTEST = 1
_WINDOW_BITS = 13
_MEMORY = 7
"""8 KiB of window and little memory: what zlib takes unasked has to be fetched from the system and
cleared for each chunk, which cost three times what the compression does. Ten events fit in."""


def pack_events(events: Sequence[bytes]) -> bytes:
    """Return one chunk: a format byte, then the lines under zlib's fastest level."""
    deflate = zlib.compressobj(_FASTEST, zlib.DEFLATED, _WINDOW_BITS, _MEMORY)
    return _ZLIB_LINES + deflate.compress(b"\n".join(events)) + deflate.flush()


def unpack_events(chunks: Sequence[bytes]) -> list[bytes]:
    """Return the events of all chunks in order.

    Raises:
        ValueError: If a chunk is of a format that this version doesn't know.
    """
    events: list[bytes] = []
    for chunk in chunks:
        if chunk[:1] != _ZLIB_LINES:
            raise ValueError(f"a history chunk of unknown format {chunk[:1]!r}")
        events.extend(zlib.decompress(chunk[1:]).split(b"\n"))
    return events
