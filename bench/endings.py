"""How a replay brings a script to its end, and what the server must then have stored."""

from __future__ import annotations

from bench.scripts import Script

LEFT = "left"
"""Ending of a script whose game is left as it stands, neither ended nor watched any more."""
LONGEST_FLAG = 10
"""Seconds of initial time up to which a replay waits for a flag to fall; else it resigns."""
_CLAIMED = ("threefold_repetition", "fifty_moves")


def waits_for_flag(script: Script) -> bool:
    """Return whether the game is given its clock, and the clock is waited for."""
    return (
        script.ending == "timeout" and script.clock is not None and script.clock[0] <= LONGEST_FLAG
    )


def closing(script: Script, *, faithful: bool) -> tuple[str, int] | None:
    """Return (command, seat: 0 White, 1 Black) that ends the game after its last move.

    None: it ends without anybody's doing. Unless `faithful`, whoever moved first just resigns.
    """
    if script.automatic:
        return None
    first = 0 if script.first == "white" else 1
    mover = (first + len(script.moves)) & 1
    if script.ending == "aborted" or not faithful:
        return ("abort" if len(script.moves) < 2 else "resign"), first
    if script.ending == "timeout" and waits_for_flag(script):
        return None
    if script.ending in _CLAIMED:
        return "claim-draw", mover
    if script.winner is None:
        return "draw", mover
    return "resign", 1 if script.winner == "white" else 0


def played_as(script: Script) -> str:
    """Say how a faithful replay ends the game of `script`."""
    if script.automatic:
        return "by the rules"
    if script.ending != "timeout":
        return "as in the file"
    if waits_for_flag(script):
        return "its clock runs out"
    return "resigned (the file: time)" if script.winner else "agreed (the file: time)"


def expected(script: Script) -> tuple[str | None, str]:
    """Return the (winner, termination) that the stored game must have."""
    if script.automatic or script.ending != "timeout" or waits_for_flag(script):
        return script.winner, script.ending
    return script.winner, "resignation" if script.winner else "agreement"
