"""What a consumer makes of records: what is passed over, what is tried together, what is given up."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.kafka.consumer_plan import Item, Place, Stretch, fresh, reached, sift
from persistence.kafka.records import Encoder
from persistence.log import Record
from persistence.ownership.row import PartitionOpened

ENDED = b"gameshard.GameEnded.v1"


@dataclass
class Fetched:
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list
    topic: str = "t"
    partition: int = 3
    timestamp: int = 0


def fetched(offset, entry, schemas=None):
    return Fetched(offset, *Encoder(schemas=schemas).encode(entry, 1))


def ended(game="g", seq=7):
    return Record(game, seq, b'{"type":"GameEnded"}')


def item(seq, game="g", offset=0):
    return Item(Place("t", 0, offset or seq), None, Record(game, seq, b""))


def unreadable(offset):
    return Item(Place("t", 0, offset), None, None, "no sense")


@pytest.mark.parametrize("schemas", [None, {"GameEnded": 5}])
def test_only_wanted_events_are_worked_on(schemas):
    """Claims and other events are passed over; a wanted one is what its JSON says, framed or not."""
    records = [
        fetched(4, PartitionOpened(1, 1, 1)),
        fetched(5, Record("g", 6, b'{"type":"MovePlayed"}')),
        fetched(6, ended(), schemas),
    ]
    (only,) = sift(records, {ENDED})
    assert (only.place, only.event) == (Place("t", 3, 6), ended())


def changed(**parts):
    record = fetched(9, ended())
    headers = dict(record.headers) | {
        name: value for name, value in parts.items() if name in ("seq", "ce_type")
    }
    record.headers = [(name, value) for name, value in headers.items() if value is not None]
    record.key, record.value = parts.get("key", record.key), parts.get("value", record.value)
    return record


@pytest.mark.parametrize(
    "parts",
    [
        {"key": None},
        {"value": None},
        {"key": b"\xff"},
        {"key": b"a\0b"},
        {"key": b""},
        {"seq": b"x"},
        {"seq": b"0"},
        {"seq": b"-1"},
        {"seq": b"2147483648"},
        {"seq": None},
        {"seq": None, "ce_type": None},
        {"seq": b"x", "ce_type": None},
    ],
)
def test_what_cannot_be_understood_is_not_lost(parts):
    """A record of no or of a wanted type that is no event is an item with a reason."""
    (broken,) = sift([changed(**parts)], {ENDED})
    assert broken.event is None
    assert broken.wrong
    assert broken.place == Place("t", 3, 9)


def test_the_largest_seq_is_one():
    """The bound is what a column of Postgres takes."""
    (largest,) = sift([changed(seq=b"2147483647")], {ENDED})
    assert largest.seq == 2147483647


SEQS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 4)), max_size=12)


@given(SEQS, st.dictionaries(st.sampled_from("ab"), st.integers(0, 4)))
def test_each_event_is_fresh_once(seqs, last):
    """Of every game the fresh events grow from the last settled one, and none that grows is left out."""
    items = [item(seq, game, offset) for offset, (game, seq) in enumerate(seqs, 1)]
    found = fresh(items, last)
    for game in "ab":
        highest, expected = last.get(game, 0), []
        for each in items:
            if each.game == game and each.seq > highest:
                highest = each.seq
                expected.append(each)
        assert [each for each in found if each.game == game] == expected
        assert reached(found).get(game, last.get(game, 0)) == highest
    assert fresh(items, last | reached(found)) == []


def test_what_has_no_number_is_always_fresh():
    """Nobody knows it again by a seq."""
    assert fresh([unreadable(1), unreadable(2)], {"": 9}) == [unreadable(1), unreadable(2)]


def test_a_stretch_is_settled_from_its_head():
    """The position is where the first unsettled item is, and behind all when there's none."""
    stretch = Stretch([item(4), item(6), item(9)], 12, 3)
    assert (stretch.head(2), stretch.position) == ([item(4), item(6)], 4)
    stretch.settled(2)
    assert (stretch.head(2), stretch.position, stretch.done) == ([item(9)], 9, False)
    stretch.settled(1)
    assert (stretch.position, stretch.done) == (12, True)


def test_a_stretch_of_nothing_is_done():
    """Records that are all passed over are settled."""
    assert Stretch([], 12, 3).done


def test_what_is_away_is_waited_for_without_end():
    """The pauses grow to a bound, and nobody is blamed; success makes them short again."""
    stretch, pauses = Stretch([item(1), item(2)], 3, 3), []
    for _ in range(20):
        stretch.wait(0.0, OSError())
        pauses.append(stretch.due)
    assert pauses == sorted(pauses)
    assert pauses[-1] == pauses[-2] == 5.0
    assert stretch.stuck
    assert not stretch.hopeless
    assert len(stretch.head(5)) == 2
    stretch.settled(1)
    assert (stretch.due, stretch.error, stretch.stuck) == (0.0, None, False)


def test_of_several_that_failed_each_is_tried_alone():
    """One that fails alone so often is hopeless; the one behind it has all its tries."""
    stretch, error = Stretch([item(1), item(2), item(3)], 4, 2), ValueError()
    stretch.failed(0.0, 3, error)
    assert (stretch.head(5), stretch.due, stretch.hopeless) == ([item(1)], 0.0, False)
    stretch.settled(1)
    stretch.failed(0.0, 1, error)
    assert stretch.due > 0.0
    stretch.failed(1.0, 1, error)
    assert (stretch.head(5), stretch.hopeless, stretch.due) == ([item(2)], True, 0.0)
    stretch.failed(2.0, 1, error)  # the dead letter couldn't be noted
    assert stretch.due > 2.0
    stretch.settled(1)
    assert (stretch.head(5), stretch.hopeless) == ([item(3)], False)
    stretch.settled(1)
    assert stretch.done
