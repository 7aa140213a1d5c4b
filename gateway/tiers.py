"""Whether what the tiers say of a game is one history. Pure: whoever reads them stands apart.

The log (with the outbox behind it) and the stored history are the events; everything else is a
state of the game at some seq. A tier may be *behind*, because it's written after the log; it may
not be ahead of it, nor tell anything else than the events do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from gateway.replay import Replay, compare
from runtime.behaviours import Kind
from runtime.cell import restore

_SHOWN = 3
_NOT_OF_THE_GAME = ("id", "kind", "seq", "now")
"""What a gateway adds to a game's view."""


class Held(Struct, frozen=True):
    """A game as one tier holds it.

    Attributes:
        tier: How people call it.
        seq: Of the newest event in it.
        view: What it shows; None: that isn't compared.
        events: Those that it tells by itself, by seq.
        trouble: Why it can't be read, if it can't.
    """

    tier: str
    seq: int
    view: Mapping[str, Any] | None = None
    events: Mapping[int, bytes] = {}
    trouble: str = ""


class Verdict(Struct, frozen=True):
    """What was found of one game: what differs, in words, and how many events who is behind."""

    replay: Replay
    differs: Sequence[str]
    behind: Mapping[str, int]


class _Created(Struct):
    kind: str


def joined(
    log: Sequence[tuple[int, bytes]], outbox: Sequence[tuple[int, bytes]]
) -> tuple[list[tuple[int, bytes]], list[str]]:
    """Return the log with what waits behind it, as readers see it, and what doesn't fit.

    While an outbox is drained, some of its events are in the log already.
    """
    there = dict(log)
    last = max(there, default=0)
    other = [seq for seq, value in outbox if there.get(seq, value) != value]
    words = [f"other in the outbox than in the log: seq {seq}" for seq in other]
    return [*log, *((seq, value) for seq, value in outbox if seq > last)], words


def judge(
    history: tuple[list[bytes], list[str]],
    log: Sequence[tuple[int, bytes]],
    held: Sequence[Held],
    kinds: dict[str, Kind],
    findings: Sequence[str] = (),
) -> Verdict:
    """Compare a stored history (and what's wrong with it), a log and all states with each other.

    `held` are in the order in which they were read, all before the log: none may be ahead of it,
    and of those that a player sees none behind what was stored before.
    """
    replay = compare(history[0], log, [*history[1], *findings])
    newest = max([len(history[0]), *(seq for seq, _ in log)])
    differs = [*replay.findings]
    behind: dict[str, int] = {}
    for each in held:
        differs += _misfits(each, newest, replay.events)
        if 0 < each.seq < newest:
            behind[each.tier] = newest - each.seq
    if not replay.findings:
        differs += _shows(replay.events, held, kinds)
    return Verdict(replay, differs, behind)


def _misfits(held: Held, newest: int, events: Sequence[bytes]) -> Iterable[str]:
    if held.trouble:
        yield f"{held.tier}: {held.trouble}"
    elif held.seq > newest:
        yield f"{held.tier} ahead: seq {held.seq}, but the log and the history end at {newest}"
    for seq, value in held.events.items():
        if 0 < seq <= len(events) and events[seq - 1] != value:
            yield f"other in {held.tier} than in the log: seq {seq}"


def _shows(events: Sequence[bytes], held: Sequence[Held], kinds: dict[str, Kind]) -> Iterable[str]:
    """Play the events, and compare what they make with what each tier shows."""
    wanted = [each for each in held if each.view is not None and 0 < each.seq <= len(events)]
    if not wanted:
        return
    kind = kinds.get(msgspec.json.decode(events[0], type=_Created).kind)
    if kind is None:
        return
    state: Any = None
    for seq, event in enumerate(events, 1):
        try:
            state = kind.evolve(state, kind.event_decoder.decode(event))
            made = view_of(kind, state) if any(each.seq == seq for each in wanted) else None
        except Exception as error:  # noqa: BLE001  (a game's own failure is a finding)
            yield f"the events can't be replayed from seq {seq} on: {error!r}"
            return
        for each in wanted:
            if made is not None and each.seq == seq and (words := _unlike(each, made)):
                yield words


def _unlike(held: Held, made: Mapping[str, Any]) -> str:
    assert held.view is not None
    wrong = [
        f"{name} {held.view.get(name)!r} instead of {made.get(name)!r}"
        for name in sorted(held.view.keys() | made.keys())
        if held.view.get(name) != made.get(name)
    ]
    if not wrong:
        return ""
    return f"{held.tier} differs from the events at seq {held.seq}: {', '.join(wrong[:_SHOWN])}"


def view_of(kind: Kind, state: Any) -> dict[str, Any]:
    """Return what a state shows to nobody in particular."""
    query = kind.behaviour.queries["state"]()
    return plain(msgspec.json.encode(dict(kind.behaviour.view(state, query, None))))


def plain(answer: bytes) -> dict[str, Any]:
    """Return a game's view without what the gateway has added to it: names, for one."""
    view: dict[str, Any] = msgspec.json.decode(answer)
    for name in _NOT_OF_THE_GAME:
        view.pop(name, None)
    _unname(view)
    return view


def _unname(value: Any) -> None:
    if isinstance(value, dict):
        if value.keys() == {"id", "name"}:
            del value["name"]
        for each in value.values():
            _unname(each)
    elif isinstance(value, list):
        for each in value:
            _unname(each)


def packed(tier: str, game: str, seq: int, state: bytes, kinds: dict[str, Kind]) -> Held:
    """Return what a tier holds packed; `seq` is what it says beside it."""
    try:
        cell = restore(game, kinds, state)
        view = view_of(cell.kind, cell.state)
    except KeyError:  # a kind that isn't installed here
        return Held(tier, seq)
    except Exception as error:  # noqa: BLE001  (whatever a damaged record brings about)
        return Held(tier, seq, trouble=f"the state at seq {seq} can't be read: {error!r}")
    if cell.seq != seq:
        return Held(tier, seq, trouble=f"says seq {seq}, but its state is of seq {cell.seq}")
    return Held(tier, seq, view)
