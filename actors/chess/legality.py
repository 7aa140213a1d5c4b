"""Whether a move is legal, and what comes of it: plainly told if it's a plain one."""

from __future__ import annotations

from actors.chess.endings import Ending, ending
from actors.chess.moves import MOVES
from actors.chess.plain import step
from actors.chess.position import scratch_of


def judge(variant: str, before: bytes, uci: str) -> tuple[str, bytes, Ending | None] | None:
    """Return a legal move in its one spelling, the position behind it, and how that ends the game.

    Args:
        variant: Whose rules hold.
        before: The packed position, with its keys.
        uci: The move; whatever a client may send.
    """
    scratch = scratch_of(variant)
    if scratch.variant.orthodox and (plain := step(before, uci)):
        after, lasts = plain
        if lasts:
            return uci, after, None
        scratch.restore(after)
        return uci, after, ending(scratch, after)
    scratch.restore(before)
    found = scratch.find(uci)
    if found is None:
        return None
    after = scratch.advance(MOVES[found], before)
    return found, after, ending(scratch, after)
