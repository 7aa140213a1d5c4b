"""What a ledger and the saboteur's rounds come to: figures for people and for JSON."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from bench.gaps import NEVER, Gaps, gaps_in, silences
from bench.ledger import Answer, Evidence
from bench.partitions import partition_of
from bench.saboteur import Round

SETS = ("hit", "cut off", "others", "all")
"""Games of the hit partitions, games of which a socket was lost, the rest, all of them."""


class Measured(NamedTuple):
    """One round's figures.

    Attributes:
        gaps: Set of games -> game by game.
        late: Seconds that a command waited whose game had yet to be made when it was due.
        silence: Seconds until each hit partition answered a command due after the blow.
        slowest: The slowest command of each hit partition: what of its pause the load could see.
        reopened: Sockets that were lost.
        errors: What clients were refused in the window, by code.
    """

    round: Round
    gaps: dict[str, Gaps]
    late: list[float]
    silence: list[float]
    slowest: list[float]
    reopened: int
    errors: Counter[str]

    def summary(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        one = self.round
        return {
            "what": one.what,
            "victim": one.victim,
            "failed": one.failed,
            "notes": one.notes,
            "partitions_hit": sorted(one.partitions),
            "partitions_moved": one.moved,
            "seconds_watched": round(one.window.until - one.window.at, 3),
            "all_served_when_asked_after_s": one.whole_after and round(one.whole_after, 2),
        } | figures([self])


def figures(rounds: Sequence[Measured]) -> dict[str, Any]:
    """Return the figures of several rounds together, ready for JSON."""
    errors: Counter[str] = Counter()
    for one in rounds:
        errors.update(one.errors)
    pooled = {name: Gaps([s for one in rounds for s in one.gaps[name].seconds]) for name in SETS}
    return {
        "gap_ms": {name: gaps.summary() for name, gaps in pooled.items()},
        "begun_late_ms": Gaps([s for one in rounds for s in one.late]).summary(),
        "partition_silent_ms": Gaps([s for one in rounds for s in one.silence]).summary(),
        "partition_slowest_ms": Gaps([s for one in rounds for s in one.slowest]).summary(),
        "sockets_reopened": sum(one.reopened for one in rounds),
        "client_errors": dict(errors),
    }


def measure(rounds: Sequence[Round], found: Evidence, partitions: int) -> list[Measured]:
    """Return the figures of every round."""
    games = {game: partition_of(game, partitions) for game in found.begun}
    own: list[Answer] = []
    late: list[Answer] = []
    for answer in found.answers:
        (late if answer.due < found.begun[answer.game][0] else own).append(answer)
    sockets: defaultdict[int, set[str]] = defaultdict(set)
    for game, (_, *both) in found.begun.items():
        for socket in both:
            sockets[socket].add(game)
    return [_measure(one, found, games, own, late, sockets) for one in rounds]


def _measure(
    one: Round,
    found: Evidence,
    games: dict[str, int],
    own: Sequence[Answer],
    late: Sequence[Answer],
    sockets: dict[int, set[str]],
) -> Measured:
    window = one.window
    gaps = gaps_in(window, own, found.owed)
    happened = [each for each in found.happenings if window.at <= each.at < window.until]
    lost = {each.socket for each in happened if each.what == "lost"}
    cut = {game for socket in lost for game in sockets[socket]}
    slowest: dict[int, float] = {}
    for game, seconds in gaps.items():
        if (partition := games.get(game)) in one.partitions:
            slowest[partition] = max(slowest.get(partition, 0.0), seconds)
    sorted_out = {
        "hit": [s for game, s in gaps.items() if games.get(game) in one.partitions],
        "cut off": [s for game, s in gaps.items() if game in cut],
        "others": [
            s for game, s in gaps.items()
            if games.get(game) not in one.partitions and game not in cut
        ],
        "all": list(gaps.values()),
    }  # fmt: skip
    return Measured(
        one,
        {name: Gaps(seconds) for name, seconds in sorted_out.items()},
        [at - due for due, at, *_ in late if due < window.until and at > window.at],
        [] if one.planned else list(silences(window, own, games, one.partitions).values()),
        list(slowest.values()),
        len(lost),
        Counter(each.what for each in happened if each.what not in ("lost", "back")),
    )


def rows(rounds: Sequence[Measured]) -> list[tuple[object, ...]]:
    """Return a line for people of each kind of fault (or command) and set of games."""
    kinds: dict[str, list[Measured]] = {}
    for one in rounds:
        if one.round.window != NEVER:
            kinds.setdefault(one.round.what, []).append(one)
    table: list[tuple[object, ...]] = []
    for what, same in kinds.items():
        body = figures(same)
        lines = {f"games, {name}": body["gap_ms"][name] for name in SETS}
        lines["games made meanwhile"] = body["begun_late_ms"]
        lines["partitions silent"] = body["partition_silent_ms"]
        lines["partitions, slowest"] = body["partition_slowest_ms"]
        table += [
            (f"{what} x{len(same)}", of, *(_cell(line[key]) for key in line))
            for of, line in lines.items()
            if line["games"]
        ]
    return table


def _cell(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "-"
    return f"{value:,}"
