"""Whether a stored history and the log tell the same of a game, each event once. Pure."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from persistence.postgres_snapshots import cut
from runtime.history import unpack_events

CONNECT_S = 5
"""Whoever looks into a system doesn't wait longer for its Postgres."""
_MANY = 10


class Replay(Struct, frozen=True):
    """A game's events in order, where they were found, and what is wrong with them."""

    events: list[bytes]
    in_history: int
    in_log: int
    findings: list[str]


class _Numbered(Struct):
    seq: int


def read_history(data: bytes, seq: int) -> tuple[list[bytes], list[str]]:
    """Return the events of a stored history, which shall reach to `seq`, and what's wrong there."""
    try:
        history = unpack_events(cut(data))
    except (ValueError, zlib.error) as error:
        return [], [f"the stored history can't be read: {error}"]
    findings: list[str] = []
    if len(history) != seq:
        findings.append(f"the stored history has {len(history)} events, the game's state {seq}")
    numbers = [_own_number(event) for event in history]
    wrong = next((at for at, own in enumerate(numbers, 1) if at != own), None)
    if wrong is not None:
        findings.append(f"event {wrong} of the stored history says that it's {numbers[wrong - 1]}")
    return history, findings


def compare(
    history: list[bytes], log: Sequence[tuple[int, bytes]], findings: Sequence[str] = ()
) -> Replay:
    """Join a history (seqs from 1) and the log's (seq, event) in its order; say what doesn't fit.

    Both together must have every seq from 1 to the last, and each place each at most once.
    """
    found = [*findings]
    seqs = [seq for seq, _ in log]
    in_log = dict(reversed(log))
    doubled = sorted(seq for seq, count in Counter(seqs).items() if count > 1)
    last = max([len(history), *seqs])
    missing = [seq for seq in range(len(history) + 1, last + 1) if seq not in in_log]
    if doubled:
        found.append(f"more than once in the log: {_some(doubled)}")
    if missing:
        found.append(f"neither in the history nor in the log: {_some(missing)}")
    if not doubled and seqs != sorted(seqs):
        found.append("the log has its events in another order")
    if outside := [seq for seq in seqs if seq < 1]:
        found.append(f"no number of an event: {_some(outside)}")
    if misnamed := [seq for seq, value in log if _own_number(value) != seq]:
        found.append(f"events of the log that say another seq: {_some(misnamed)}")
    if differing := sorted(
        {seq for seq, value in log if 0 < seq <= len(history) and history[seq - 1] != value}
    ):
        found.append(f"other in the log than in the history: {_some(differing)}")
    beyond = sorted(seq for seq in in_log if seq > len(history))
    events = history + [in_log[seq] for seq in beyond]
    return Replay(events, len(history), len(log), found)


def _own_number(event: bytes) -> int | None:
    try:
        return msgspec.json.decode(event, type=_Numbered).seq
    except msgspec.DecodeError:
        return None


def _some(seqs: Sequence[int]) -> str:
    more = f" and {len(seqs) - _MANY} more" if len(seqs) > _MANY else ""
    return f"seq {', '.join(map(str, seqs[:_MANY]))}{more}"
