"""What a fetch brings, cut to what was asked for."""

import pytest
from aiokafka.record.util import calc_crc32c

from persistence.kafka import reading, wire
from persistence.kafka.reading import pieces
from persistence.kafka.records import Encoded, Encoder
from persistence.log import Record, Unavailable
from persistence.ownership.row import Producer

STRANGER = Encoded(b"k", b"v", [])


def event(number: int) -> Record:
    return Record("g", number, b'{"type":"Moved"}')


def batch(first: int, *entries) -> bytes:
    """A batch as it stands in the log, at offset `first`."""
    encode = Encoder().encode
    encoded = (e if isinstance(e, Encoded) else encode(e, 1) for e in entries)
    data = bytearray(wire.batch(Producer(1, 0), 0, encoded, 0))
    data[:8] = first.to_bytes(8, "big")
    return bytes(data)


def mark(first: int) -> bytes:
    """A transaction's end as it stands in the log."""
    data = bytearray(batch(first, STRANGER))
    data[22] |= 0x20
    data[17:21] = calc_crc32c(bytes(data[21:])).to_bytes(4, "big")
    return bytes(data)


def test_only_what_was_asked_for_is_given():
    """A fetch begins with the batch that holds the offset, and may reach further."""
    data = batch(10, *map(event, range(1, 6))) + batch(15, *map(event, range(6, 9)))
    ((found, then),) = pieces(data, 12, 16)
    assert found == [(o, event(o - 9)) for o in range(12, 16)]
    assert then >= 16


def test_holes_and_strangers_take_their_offsets():
    """What isn't there, or isn't ours, is passed over, at the end as well."""
    data = batch(20, event(1), STRANGER) + batch(30, STRANGER) + mark(31)
    assert list(pieces(data, 20, 32)) == [([(20, event(1))], 32)]
    assert list(pieces(data, 21, 40)) == [([], 32)]


def test_much_comes_in_pieces(monkeypatch):
    """So that nobody else has to wait for all of it; each says where to go on."""
    monkeypatch.setattr(reading, "_PIECE", 2)
    data = batch(0, *map(event, range(1, 6)))
    assert [(len(piece), then) for piece, then in pieces(data, 0, 5)] == [(2, 2), (2, 4), (1, 5)]


def test_nothing_is_nothing():
    """No batch, or half of one."""
    assert list(pieces(b"", 0, 5)) == []
    assert list(pieces(batch(0, event(1))[:-1], 0, 5)) == []


@pytest.mark.parametrize(("place", "bits"), [(16, 2), (17, 1), (-1, 1)])
def test_a_batch_that_was_spoiled_is_not_understood(place, bits):
    """Another format, a wrong checksum, a flipped byte: an error, and never another event."""
    data = bytearray(batch(0, event(1)))
    data[place] ^= bits
    with pytest.raises(Unavailable):
        list(pieces(bytes(data), 0, 5))
