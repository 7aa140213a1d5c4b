"""What players' clocks were charged, against how long they thought as they themselves saw it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bench.acks import Fact


class Charge(NamedTuple):
    """What the clock of the player who moved lost with a move.

    Attributes:
        charged: Seconds that the clock lost.
        thought: Seconds from when the move before had come to the mover until theirs was sent.
        dead: Seconds of these in which nobody could have answered.
    """

    game: str
    ply: int
    charged: float
    thought: float
    dead: float = 0.0

    def __str__(self) -> str:
        return (
            f"charged: {self.game}, ply {self.ply} cost {self.charged:.2f} s, thought"
            f" {self.thought:.2f} s, {self.dead:.2f} s of it in an outage"
        )

    @property
    def excess(self) -> float:
        """Seconds that were charged though the player had no use of them."""
        return self.charged - (self.thought - self.dead)


def charges(
    facts: Sequence[Fact],
    sent: Mapping[int, float],
    came: tuple[Mapping[int, float], Mapping[int, float]],
    outages: Iterable[tuple[float, float]] = (),
    game: str = "",
) -> list[Charge]:
    """Return the charge of every move whose clocks and times are known; the increment is none.

    Args:
        facts: The game's log, in order; White moves first.
        sent: Ply -> when its command was sent first.
        came: For White and for Black: number of an event -> when it came.
        outages: (from, until) in which nobody answered for the game.
        game: Its id.
    """
    found: list[Charge] = []
    before: tuple[int, int] | None = None  # number of the move before, both clocks after it
    for fact in facts:
        if not fact.uci or (clocks := _clocks(fact.mark)) is None:
            continue
        if before is not None and fact.ply in sent and before[0] in came[fact.ply & 1]:
            begin, end = came[fact.ply & 1][before[0]], sent[fact.ply]
            dead = sum(max(0.0, min(end, until) - max(begin, at)) for at, until in outages)
            charged = (before[1] - clocks) / 1e3
            found.append(Charge(game, fact.ply, charged, max(0.0, end - begin), dead))
        before = (fact.seq, clocks)
    return found


def _clocks(mark: str) -> int | None:
    """Return the milliseconds on both clocks together: the one that ran is what makes them less."""
    _, _, both = mark.partition(",")
    white, _, black = both.partition(",")
    return int(white) + int(black) if white.isdigit() and black.isdigit() else None
