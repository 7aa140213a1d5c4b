"""Arrays of `persistence.arrays` as parameters of psycopg's cursors.

psycopg looks at every element of a list to find out how to send it, which costs several times what
the rest of a snapshot does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from psycopg import pq
from psycopg.adapt import Dumper

from persistence import arrays


class Encoded(NamedTuple):
    """A parameter in Postgres's binary format; the statement says its type."""

    data: bytes


class EncodedDumper(Dumper):
    """Sends an `Encoded` as it is."""

    format = pq.Format.BINARY

    def dump(self, obj: Encoded) -> bytes:
        """Return the bytes."""
        return obj.data


def texts(values: Sequence[str]) -> Encoded:
    """Encode a text[]."""
    elements = arrays.byteas([value.encode() for value in values])
    return Encoded(arrays.array(arrays.TEXT, len(values), elements))


def byteas(values: Sequence[bytes]) -> Encoded:
    """Encode a bytea[]."""
    return Encoded(arrays.array(arrays.BYTEA, len(values), arrays.byteas(values)))


def int4s(values: Sequence[int]) -> Encoded:
    """Encode an int4[]."""
    return Encoded(arrays.array(arrays.INT4, len(values), arrays.int4s(values)))


def int8s(values: Sequence[int]) -> Encoded:
    """Encode an int8[]."""
    return Encoded(arrays.array(arrays.INT8, len(values), arrays.int8s(values)))
