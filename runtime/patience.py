"""When a process that starts anew goes on: others may need the CPU more, for a moment.

Who takes over the games of a shard that ended has all of their commands to work off besides those
of its own. To load a shard takes more than a second of CPU, and it isn't given any games before all
is calm again anyhow. So it waits first; see `runtime.ownership.Ownership.calm`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic, sleep

_log = logging.getLogger(__name__)
_PAUSE_S = 0.25
_LONGEST_S = 10.0
"""Calm may not come without us."""


def await_calm(
    calm: Callable[[], bool],
    clock: Callable[[], float] = monotonic,
    pause: Callable[[float], None] = sleep,
) -> None:
    """Return once `calm` says so, or can't say (it raises), but at the latest after 10 s."""
    until = clock() + _LONGEST_S
    try:
        while not calm() and clock() < until:
            pause(_PAUSE_S)
    except Exception as error:  # noqa: BLE001  (however whoever is asked can be away)
        _log.info("nobody says whether all is calm: %r", error)
