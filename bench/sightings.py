"""Is what the sockets of a game saw what its log says, each event once and in order?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from bench.acks import Ack, Fact, judge


@dataclass
class Findings:
    """What is wrong with one game or many, each a list of sentences; all empty: nothing.

    Attributes:
        lost: Acknowledged or seen, but not in the log or not in the game.
        repeated: Came to one socket twice, or acted twice.
        disordered: Came to a socket after a later event.
        missed: A socket went on without an event, or never got one that was acknowledged.
        differing: Another event than the one that was acknowledged or seen.
        forked: Two sockets saw different events under one number, and the log has none.
    """

    lost: list[str] = field(default_factory=list[str])
    repeated: list[str] = field(default_factory=list[str])
    disordered: list[str] = field(default_factory=list[str])
    missed: list[str] = field(default_factory=list[str])
    differing: list[str] = field(default_factory=list[str])
    forked: list[str] = field(default_factory=list[str])

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not any(self.counts().values())

    def add(self, other: Findings) -> None:
        """Take over everything that `other` has."""
        for each in fields(self):
            getattr(self, each.name).extend(getattr(other, each.name))

    def counts(self) -> dict[str, int]:
        """Return how many of each there are."""
        return {each.name: len(getattr(self, each.name)) for each in fields(self)}

    def sentences(self) -> list[str]:
        """Return all of them, with what they are."""
        return [
            f"{each.name}: {line}" for each in fields(self) for line in getattr(self, each.name)
        ]


class Heard(NamedTuple):
    """All that clients heard of one game.

    Attributes:
        acks: Its acknowledged moves.
        accepted: (seq, id of the command) of what was accepted; the id of ply 7's move is "m7".
        seen: Socket -> the events in the order in which they came to it while it followed the game.
        later: Events that came afterwards. Whoever doesn't follow a game is told what became of
            their command by its event, as often as they asked: these may repeat what was seen.
    """

    acks: Sequence[Ack] = ()
    accepted: Iterable[tuple[int, str]] = ()
    seen: Mapping[int, Sequence[Fact]] = {}
    later: Sequence[Fact] = ()


def examine(game: str, heard: Heard, facts: Sequence[Fact], moves: list[str]) -> Findings:
    """Compare all that was heard of a game with its log and its list of moves.

    Args:
        game: Its id, for the sentences.
        heard: What clients heard of it.
        facts: Every event of the game, as GET /games/{id}/events has them afterwards.
        moves: The game's own list of moves, as GET /games/{id} has it.
    """
    verdict = judge(heard.acks, facts, moves)
    found = Findings(verdict.lost, verdict.duplicated, differing=verdict.differing)
    log = {fact.seq: fact for fact in facts}
    for seq, name in heard.accepted:
        if seq not in log:
            found.lost.append(f"{game}: {name} was accepted as {seq}, which is not in the log")
        elif name[:1] == "m" and name[1:].isdigit() and log[seq].ply != int(name[1:]):
            found.differing.append(f"{game}: {name} was accepted as {seq}, which is {log[seq]}")
    newest = max((ack.seq for ack in heard.acks), default=0)
    for socket, events in heard.seen.items():
        _examine_socket(f"{game} at socket {socket}", events, log, newest, found)
    found.forked += _forks(game, heard, log)
    for fact in heard.later:
        _look_up(f"{game} after its players left", fact, log, found)
    return found


def _forks(game: str, heard: Heard, log: Mapping[int, Fact]) -> list[str]:
    """Return what sockets saw as two different events under a number that isn't in the log."""
    first: dict[int, Fact] = {}
    forks: list[str] = []
    for events in (*heard.seen.values(), heard.later):
        for fact in events:
            other = first.setdefault(fact.seq, fact)
            if other != fact and fact.seq not in log:
                forks += [f"{game}: {other} and {fact} were seen as event {fact.seq}"]
    return forks


def _look_up(where: str, fact: Fact, log: Mapping[int, Fact], found: Findings) -> None:
    """Note if the log hasn't got what was seen."""
    if fact.seq not in log:
        found.lost.append(f"{where}: {fact} was seen, which is not in the log")
    elif log[fact.seq] != fact:
        found.differing.append(f"{where}: {fact} was seen, the log has {log[fact.seq]}")


def _examine_socket(
    where: str, events: Sequence[Fact], log: Mapping[int, Fact], newest: int, found: Findings
) -> None:
    had: set[int] = set()
    last = events[0].seq - 1 if events else 0
    for fact in events:
        _look_up(where, fact, log, found)
        if fact.seq in had:
            found.repeated.append(f"{where}: event {fact.seq} came again")
        elif fact.seq < last:
            found.disordered.append(f"{where}: event {fact.seq} came after {last}")
        had.add(fact.seq)
        last = max(last, fact.seq)
    if events:
        # What nobody was told of may have come to the log after the sockets were closed.
        upto = max(last, min(newest, max(log, default=0)))
        gone = [seq for seq in range(events[0].seq, upto + 1) if seq not in had]
        found.missed.extend(f"{where}: event {seq} never came" for seq in gone)
