"""When Kafka counts as away: after some failures in a row of time, until something works again."""

from __future__ import annotations

from collections import deque

FAILURES = 5
WINDOW_S = 60.0


class Breaker:
    """Open (away) after `FAILURES` failures within `WINDOW_S`; any success closes it."""

    def __init__(self) -> None:
        self.open = False
        self._failures: deque[float] = deque(maxlen=FAILURES)

    def failed(self, now: float) -> bool:
        """Count a failure at `now` (seconds); return whether the breaker opens by it."""
        self._failures.append(now)
        if self.open or len(self._failures) < FAILURES or now - self._failures[0] > WINDOW_S:
            return False
        self.open = True
        return True

    def worked(self) -> bool:
        """Something was answered; return whether the breaker closes by it."""
        self._failures.clear()
        closes, self.open = self.open, False
        return closes
