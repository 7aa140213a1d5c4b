"""Arrays in Postgres's binary format, encoded by hand: the hot statement has nothing else.

An array is a header (dimensions, has nulls, element type, length, lower bound) and its elements,
each behind its length, all big-endian; so the elements of many arrays join by joining their bytes.
Source: `array_recv` of PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct as Layout

INT4, INT8, TEXT, BYTEA = 23, 20, 25, 17

_HEADER = Layout(">iiIii")
_length = Layout(">i").pack
_int4 = Layout(">ii").pack
_int8 = Layout(">iq").pack
_MOST = 4096
_LENGTHS = [_length(n) for n in range(_MOST)]
_INTS = [_int4(4, n) for n in range(_MOST)]
_COUNTING = b"".join(_INTS)


def array(element: int, count: int, elements: bytes) -> bytes:
    """Return the array of `count` encoded `elements` of type `element`."""
    return _HEADER.pack(1, 0, element, count, 1) + elements


def int4s(values: Sequence[int]) -> bytes:
    """Encode the elements of an int4[].

    Raises:
        struct.error: If one doesn't fit.
    """
    return b"".join([_INTS[v] if 0 <= v < _MOST else _int4(4, v) for v in values])


def int8s(values: Sequence[int]) -> bytes:
    """Encode the elements of an int8[]."""
    return b"".join([_int8(8, v) for v in values])


def byteas(values: Sequence[bytes]) -> bytes:
    """Encode the elements of a bytea[] or, of UTF-8, of a text[]."""
    parts: list[bytes] = []
    for value in values:
        size = len(value)
        parts += (_LENGTHS[size] if size < _MOST else _length(size), value)
    return b"".join(parts)


def counting(count: int) -> bytes:
    """Encode the elements 0, 1, ... `count - 1` of an int4[]."""
    return _COUNTING[: 8 * count] if count <= _MOST else int4s(range(count))
