"""Work that may wait, in slices so short that nobody whose turn it is notices."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import monotonic

_SLICE_S = 0.0005
_PAUSE_S = 0.002
"""A fifth of the loop's time at most: thousands of snapshots a second, and no move waits for two.
"""


async def in_slices(steps: Iterable[object], pause: float = _PAUSE_S) -> int:
    """Take all of `steps`, leave the loop to others in between, return how many were true."""
    true, until = 0, monotonic() + _SLICE_S
    for step in steps:
        true += bool(step)
        if monotonic() >= until:
            await asyncio.sleep(pause)
            until = monotonic() + _SLICE_S
    return true
