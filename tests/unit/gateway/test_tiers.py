"""What the tiers of one game may say, and what they may not."""

import msgspec
import pytest
from told_games import KIND, KINDS, cell_of, events_of, shown, state_of, warm_game

from gateway.comparing import shown_of, warm_of
from gateway.tier_reading import Answer
from gateway.tiers import Held, joined, judge, packed, view_of

EVENTS = events_of("g", 9)


def log(first: int, last: int = 9) -> list[tuple[int, bytes]]:
    return [(seq, EVENTS[seq - 1]) for seq in range(first, last + 1)]


def verdict(*held: Held, saved: int = 6, first: int = 5):
    return judge((EVENTS[:saved], []), log(first), held, KINDS)


def snapshots(seq: int) -> Held:
    return packed("snapshots", "g", seq, state_of("g", seq), KINDS)


def redis(seq: int, saved: int) -> Held:
    return warm_of("g", warm_game("g", seq, saved), KINDS)


def get(seq: int) -> Held:
    found = shown_of(Answer(200, shown("g", seq)))
    assert found is not None
    return found


def test_tiers_that_are_behind_are_not_wrong():
    """Each is behind by so many events; what they hold is what the events make."""
    found = verdict(snapshots(6), redis(8, 6), get(9))
    assert list(found.differs) == []
    assert found.behind == {"snapshots": 3, "Redis": 1}
    assert found.replay.events == EVENTS


@pytest.mark.parametrize("tier", ["snapshots", "Redis", "GET"])
def test_nobody_may_be_ahead_of_the_log(tier):
    """What isn't in the log was lost, or never acknowledged."""
    held = {"snapshots": snapshots, "Redis": lambda seq: redis(seq, 6), "GET": get}[tier](9)
    found = judge((EVENTS[:6], []), log(5, 8), [held], KINDS)
    assert list(found.differs) == [f"{tier} ahead: seq 9, but the log and the history end at 8"]


@pytest.mark.parametrize("tier", ["snapshots", "Redis", "GET"])
def test_another_state_is_named_with_its_seq(tier):
    """Whoever shows another pile than the events leave."""
    other = cell_of("g", 6)
    other.state.pile = 5
    right = view_of(KIND, cell_of("g", 6).state)["pile"]
    held = {
        "snapshots": packed("snapshots", "g", 6, other.pack(), KINDS),
        "Redis": packed("Redis", "g", 6, other.pack(), KINDS),
        "GET": Held("GET", 6, view_of(KIND, other.state)),
    }[tier]
    assert list(verdict(held).differs) == [
        f"{tier} differs from the events at seq 6: pile 5 instead of {right}"
    ]


def test_an_event_of_redis_that_is_another_is_named():
    """Its own events must be those of the log."""
    warm = warm_game("g", 8, 6)
    changed = warm.tail.replace(b'"left":895', b'"left":1')
    held = warm_of("g", msgspec.structs.replace(warm, tail=changed), KINDS)
    assert list(verdict(held).differs) == ["other in Redis than in the log: seq 7"]
    lost = msgspec.structs.replace(warm, tail=EVENTS[6] + b"\n")
    [what] = verdict(warm_of("g", lost, KINDS)).differs
    assert what == "Redis: 1 events for seq 7 to 8"


@pytest.mark.parametrize("data", [b"", b"nonsense", state_of("g", 5)])
def test_a_state_that_cannot_be_read_or_is_of_another_seq_is_named(data):
    """It's a finding of that game, whatever is wrong with it."""
    [what] = verdict(packed("snapshots", "g", 6, data, KINDS)).differs
    assert what.startswith("snapshots: ")
    assert "seq 6" in what


def test_a_game_of_a_kind_that_is_not_installed_is_compared_by_its_events():
    """Its states can't be read here; that is no fault of theirs."""
    found = judge((EVENTS[:6], []), log(5), [packed("snapshots", "g", 6, state_of("g", 6), {})], {})
    assert list(found.differs) == []


def test_events_that_cannot_be_played_are_named():
    """From which seq on."""
    broken = [*EVENTS[:3], b'{"type":"Nonsense","game":"g","seq":4,"at":"2026-01-01T00:00:00Z"}']
    found = judge((broken, []), [], [Held("GET", 4, {})], KINDS)
    assert any("can't be replayed from seq 4 on" in what for what in found.differs)


def test_what_waits_behind_the_log_counts_once():
    """Amid a drain an event is in both; another one under its number is named."""
    assert joined(log(1, 5), log(4, 7)) == (log(1, 7), [])
    assert joined([], log(1, 3)) == (log(1, 3), [])
    changed = [(4, b"other"), *log(5, 6)]
    whole, words = joined(log(1, 5), changed)
    assert whole == log(1, 6)
    assert words == ["other in the outbox than in the log: seq 4"]


@pytest.mark.parametrize(
    ("answer", "held"),
    [
        (Answer(404, b"{}"), Held("GET", 0)),
        (Answer(503, b"{}"), None),
        (Answer(500, b"{}"), None),
    ],
)
def test_an_answer_without_a_game(answer, held):
    """That there's none is said; that nobody knows is not taken for it."""
    assert shown_of(answer) == held


def test_an_answer_that_is_no_game_is_a_finding():
    """Whatever a proxy in between makes of it."""
    found = shown_of(Answer(200, b"<html>"))
    assert found is not None
    assert found.trouble.startswith("an answer that's no game")
