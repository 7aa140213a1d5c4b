"""What a game's history and its part of the log say together."""

import pytest

from gateway.replay import compare, read_history
from runtime.history import pack_events


def event(seq: int, note: str = "") -> bytes:
    return b'{"type":"Added","seq":%d,"note":"%s"}' % (seq, note.encode())


def stored(*events: bytes, chunk: int = 3) -> bytes:
    packed = [pack_events(list(events[at : at + chunk])) for at in range(0, len(events), chunk)]
    return b"".join(len(each).to_bytes(4, "big") + each for each in packed)


EVENTS = [event(seq) for seq in range(1, 11)]


@pytest.mark.parametrize(
    ("saved", "seqs"),
    [
        (0, range(1, 11)),  # nothing is saved
        (10, ()),  # nothing is left in the log
        (7, range(1, 11)),
        (7, range(5, 11)),  # trimmed
        (7, (1, 4, 6, 8, 9, 10)),  # trimmed by clocks that differ: the history has the rest
    ],
)
def test_a_whole_game_is_told_once_each(saved, seqs):
    """Whatever part is in the history, in the log, or in both: seq 1 to n, and nothing to say."""
    found = compare(EVENTS[:saved], [(seq, event(seq)) for seq in seqs])
    assert found.findings == []
    assert found.events == EVENTS
    assert (found.in_history, found.in_log) == (saved, len(list(seqs)))


@pytest.mark.parametrize(
    ("saved", "log", "finding"),
    [
        (7, [7, 8, 8, 9, 10], "more than once in the log: seq 8"),
        (7, [6, 6, 8, 9, 10], "more than once in the log: seq 6"),
        (7, [8, 10], "neither in the history nor in the log: seq 9"),
        (5, [8, 9, 10], "neither in the history nor in the log: seq 6, 7"),
        (0, [2, 3], "neither in the history nor in the log: seq 1"),
        (0, [1, 3, 2], "the log has its events in another order"),
        (0, [0, 1, 2], "no number of an event: seq 0"),
    ],
)
def test_what_is_missing_or_doubled_is_named(saved, log, finding):
    """Each seq that stands nowhere, or twice, is a finding; so is another order."""
    assert finding in compare(EVENTS[:saved], [(seq, event(seq)) for seq in log]).findings


def test_what_differs_is_named():
    """The log and the history must agree, and an event must be the one that it says it is."""
    found = compare(EVENTS[:3], [(2, event(2)), (3, event(3, "other")), (4, event(5))])
    assert found.findings == [
        "events of the log that say another seq: seq 4",
        "other in the log than in the history: seq 3",
    ]


def test_a_stored_history_is_read_chunk_by_chunk():
    """All of its events, in order."""
    assert read_history(stored(*EVENTS), 10) == (EVENTS, [])
    assert read_history(b"", 0) == ([], [])


@pytest.mark.parametrize(
    ("data", "finding"),
    [
        (stored(*EVENTS[:9]), "the stored history has 9 events, the game's state 10"),
        (stored(*EVENTS[:4], *EVENTS[5:], event(11)), "event 5 of the stored history says"),
        (stored(*EVENTS)[:-1], "the stored history can't be read: a chunk that ends"),
        (stored(*EVENTS).replace(b"\x01X", b"\x01Y"), "the stored history can't be read: Error"),
        (stored(*EVENTS).replace(b"\x01X", b"\x07X"), "can't be read: a history chunk of unknown"),
    ],
)
def test_a_damaged_history_is_a_finding(data, finding):
    """However it's damaged, the rest of the examination goes on."""
    _, findings = read_history(data, 10)
    assert len(findings) == 1
    assert finding in findings[0]
