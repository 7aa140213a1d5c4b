"""Arrays in Postgres's binary format, encoded by hand: the hot statement has nothing else.

Source: `array_recv` of PostgreSQL; header = dimensions, has nulls, element type, length, lower
bound; then each element behind its length. All numbers are big-endian.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct as Layout
from struct import pack

INT4, INT8, TEXT, BYTEA = 23, 20, 25, 17
INT4_ARRAY, INT8_ARRAY, TEXT_ARRAY, BYTEA_ARRAY = 1007, 1016, 1009, 1001

_HEADER = Layout(">iiIii")
_length = Layout(">i").pack
_int4 = Layout(">ii").pack
_int8 = Layout(">iq").pack


def int4s(values: Sequence[int]) -> bytes:
    """Encode an int4[]."""
    return _HEADER.pack(1, 0, INT4, len(values), 1) + b"".join([_int4(4, v) for v in values])


def int8s(values: Sequence[int]) -> bytes:
    """Encode an int8[]."""
    return _HEADER.pack(1, 0, INT8, len(values), 1) + b"".join([_int8(8, v) for v in values])


def byteas(values: Sequence[bytes], element: int = BYTEA) -> bytes:
    """Encode a bytea[]."""
    parts = [_HEADER.pack(1, 0, element, len(values), 1)]
    for value in values:
        parts.append(_length(len(value)))
        parts.append(value)
    return b"".join(parts)


def texts(values: Sequence[str]) -> bytes:
    """Encode a text[]."""
    return byteas([value.encode() for value in values], TEXT)


def int8(value: int) -> bytes:
    """Encode an int8."""
    return pack(">q", value)
