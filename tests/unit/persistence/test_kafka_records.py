"""Records as they stand in Kafka."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.kafka.records import Encoder, decode
from persistence.log import Record
from persistence.ownership.row import PartitionOpened

MOVE = (
    b'{"type":"MovePlayed","game":"g1","seq":12,"at":"2026-11-25T09:03:00.123000Z","ply":11,'
    b'"uci":"e2e4","by":"white","white_ms":1000,"black_ms":2}'
)
SCHEMAS = {"MovePlayed": 7, "PartitionOpened": 1 << 31}

values = st.one_of(
    st.binary(),
    st.binary().map(lambda rest: b"\0" + rest),
    st.just(MOVE),
    st.builds(
        lambda kind, rest: msgspec.json.encode({"type": kind, **rest}),
        st.one_of(st.just("MovePlayed"), st.text(), st.integers()),
        st.dictionaries(st.text(), st.text()),
    ),
)
records = st.builds(Record, st.text(), st.integers(1, (1 << 31) - 1), values, st.binary())
numbers = st.integers(0, (1 << 63) - 1)
claims = st.builds(
    PartitionOpened, numbers, numbers, numbers, st.integers(0, 1 << 42), st.integers(0, 1 << 42)
)


@given(st.one_of(records, claims), st.sampled_from([{}, SCHEMAS]))
def test_what_is_encoded_comes_back(entry, schemas):
    """Whatever the value, with a schema or without: decoding gives what was encoded."""
    assert decode(*Encoder(schemas=schemas).encode(entry, 3)) == entry


@given(records, st.sampled_from([{}, SCHEMAS]), st.randoms())
def test_headers_may_come_in_any_order(entry, schemas, random):
    """Whatever wrote or copied them: the record is the same."""
    key, value, headers = Encoder(schemas=schemas).encode(entry, 3)
    shuffled = list(headers)
    random.shuffle(shuffled)
    assert decode(key, value, shuffled) == entry


def test_an_event_is_a_cloud_event():
    """The headers are those of the binary mode, and ours; the value is untouched."""
    key, value, headers = Encoder("/chess").encode(Record("g1", 12, MOVE, b"\0m"), 3)
    assert (key, value) == (b"g1", MOVE)
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"g1:12",
        "ce_type": b"gameshard.MovePlayed.v1",
        "ce_source": b"/chess",
        "ce_time": b"2026-11-25T09:03:00.123000Z",
        "content-type": b"application/json",
        "epoch": b"3",
        "seq": b"12",
        "mark": b"\0m",
    }


def test_a_registered_type_is_in_the_wire_format():
    """A zero, the schema's id in four bytes, the JSON; types without a schema are plain JSON."""
    encoder = Encoder(schemas=SCHEMAS)
    assert encoder.encode(Record("g1", 12, MOVE), 3).value == b"\0\0\0\0\x07" + MOVE
    other = MOVE.replace(b"MovePlayed", b"GameEnded")
    assert encoder.encode(Record("g1", 13, other), 3).value == other


def test_a_claim_is_an_event_of_its_own():
    """It tells in JSON who claims, when, and until when the owner before lived."""
    claim = PartitionOpened(3, 2, 1000, at=1764061380123, alive_until=1764061379000)
    key, value, headers = Encoder().encode(claim, 3)
    assert key == b"partition-opened"
    assert json.loads(value) == {"type": "PartitionOpened", **claim._asdict()}
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"1000:3:2",
        "ce_type": b"gameshard.PartitionOpened.v1",
        "ce_source": b"/gameshard",
        "ce_time": b"2025-11-25T09:03:00.123+00:00",
        "content-type": b"application/json",
        "epoch": b"3",
    }


def test_a_game_may_be_called_like_a_claim():
    """What a record is follows from its headers, not from its key."""
    record = Record("partition-opened", 1, MOVE)
    assert decode(*Encoder().encode(record, 3)) == record


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (None, None, []),
        (b"g1", MOVE, []),
        (b"g1", None, [("seq", b"1")]),
        (None, MOVE, [("seq", b"1")]),
        (b"g1", MOVE, [("seq", b"one")]),
        (b"\xff", MOVE, [("seq", b"1")]),
        (b"partition-opened", b"{}", [("ce_type", b"gameshard.PartitionOpened.v1")]),
    ],
)
def test_strangers_are_recognised(key, value, headers):
    """A record that isn't one of ours is no error, and nothing."""
    assert decode(key, value, headers) is None


def test_any_number_of_types_takes_bounded_memory():
    """Types that strangers make up aren't remembered without end."""
    encoder = Encoder()
    for number in range(3000):
        encoder.encode(Record("g", 1, b'{"type":"T%d"}' % number), 1)
    assert len(encoder._kinds) <= 1000


def test_a_later_version_has_its_own_name():
    """The version that a type names isn't given a second one."""
    _, _, headers = Encoder().encode(Record("g1", 1, b'{"type":"MovePlayed.v2"}'), 3)
    assert dict(headers)["ce_type"] == b"gameshard.MovePlayed.v2"
