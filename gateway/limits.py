"""How often somebody may do something: token buckets, and a memory of them that stays bounded."""

from __future__ import annotations

from collections import OrderedDict
from math import ceil


class Bucket:
    """One token bucket, as the moment when it will be full again (GCRA, ITU-T I.371).

    Nothing refills it; `full_at` moves on with every token taken.
    """

    __slots__ = ("_interval", "_tolerance", "full_at")

    def __init__(self, rate: float, burst: int) -> None:
        """Allow `rate` tokens a second, and `burst` of them at once."""
        self._interval = 1 / rate
        self._tolerance = (burst - 1) / rate
        self.full_at = 0.0

    def wait(self, now: float) -> float:
        """Return after how many seconds there's a token; 0 if there's one now."""
        return max(0.0, self.full_at - now - self._tolerance)

    def charge(self, now: float, tokens: int = 1) -> None:
        """Take tokens, also those that aren't there yet."""
        self.full_at = max(self.full_at, now) + tokens * self._interval


class Limit:
    """A limit that holds for each of many users or addresses. The least recent are forgotten."""

    def __init__(self, name: str, rate: float, burst: int, most: int) -> None:
        """Allow each `rate` a second and `burst` at once; remember `most` of them."""
        self.name = name
        self.burst = burst
        self.rate = rate
        self._interval = 1 / rate
        self._tolerance = (burst - 1) / rate
        self._most = most
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, who: str, now: float) -> float:
        """Take a token of `who`; return 0, or (none is taken) the seconds until there's one."""
        full_at = self._full_at.get(who, 0.0)
        if full_at <= now:
            full_at = now
        elif full_at - now > self._tolerance:
            return full_at - now - self._tolerance
        self._full_at[who] = full_at + self._interval
        self._full_at.move_to_end(who)
        if len(self._full_at) > self._most:
            self._full_at.popitem(last=False)
        return 0.0

    def headers(self, wait: float) -> list[tuple[bytes, bytes]]:
        """Return what tells a client about the limit that it met.

        Fields of draft-ietf-httpapi-ratelimit-headers-10, and Retry-After of RFC 9110.
        """
        seconds = max(1, ceil(wait))
        window = max(1, round(self.burst / self.rate))
        return [
            (b"retry-after", b"%d" % seconds),
            (b"ratelimit-policy", f'"{self.name}";q={self.burst};w={window}'.encode()),
            (b"ratelimit", f'"{self.name}";r=0;t={seconds}'.encode()),
        ]
