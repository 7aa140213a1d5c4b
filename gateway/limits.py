"""How often somebody may do something: token buckets, and a memory of them that stays bounded."""

from __future__ import annotations

from collections import OrderedDict
from math import ceil

_FORGIVEN = 10
_EPSILON = 1e-6
"""Seconds: so that sums of floats at the very limit are within it."""


class Bucket:
    """One token bucket, as the moment when it will be full again (GCRA, ITU-T I.371).

    Nothing refills it; `full_at` moves on with every token taken.
    """

    __slots__ = ("_interval", "_tolerance", "full_at")

    def __init__(self, rate: float, burst: int) -> None:
        """Allow `rate` tokens a second, and `burst` of them at once."""
        self._interval = 1 / rate
        self._tolerance = (burst - 1) / rate + _EPSILON
        self.full_at = 0.0

    def take(self, now: float) -> bool:
        """Take a token; False if there's none."""
        full_at = self.full_at
        if full_at <= now:
            full_at = now
        elif full_at - now > self._tolerance:
            return False
        self.full_at = full_at + self._interval
        return True

    def wait(self, now: float) -> float:
        """Return after how many seconds there's a token; 0 if there's one now."""
        return max(0.0, self.full_at - now - self._tolerance)

    def charge(self, now: float, tokens: float = 1) -> None:
        """Take tokens, also those that aren't there yet; less than 0 gives some back."""
        self.full_at = max(self.full_at, now) + tokens * self._interval

    def forgive(self, now: float, longest: float) -> None:
        """Let there be a token again after `longest` seconds, whatever was charged."""
        self.full_at = min(self.full_at, now + self._tolerance + longest)


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


class Penalties:
    """Who must stay away just now. Each offence costs twice what the one before did.

    An offence is forgotten when one has stayed away and then been good for `_FORGIVEN` times as
    long. The least recent are forgotten as well.
    """

    def __init__(self, first: float, longest: float, most: int) -> None:
        """Keep away for `first` to `longest` seconds; remember `most` of them."""
        self._first = first
        self._longest = longest
        self._most = most
        self._known: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Who -> (until when it's kept away, how long that was; 0: not for an offence)."""

    def punish(self, who: str, now: float) -> float:
        """Note an offence; return for how many seconds it keeps `who` away."""
        until, last = self._known.get(who, (0.0, 0.0))
        if now < until and last:
            return until - now  # another socket's, in the same go
        last = min(2 * last, self._longest) if now < until + _FORGIVEN * last else 0.0
        self._keep(who, now + (last or self._first), last or self._first)
        return last or self._first

    def bar(self, who: str, until: float) -> None:
        """Keep `who` away until then, without holding anything against them."""
        known, last = self._known.get(who, (0.0, 0.0))
        self._keep(who, max(known, until), last)

    def left(self, who: str, now: float) -> float:
        """Return for how many seconds `who` must still stay away; 0 if they may come."""
        return max(0.0, self._known.get(who, (0.0, 0.0))[0] - now)

    def _keep(self, who: str, until: float, length: float) -> None:
        self._known[who] = (until, length)
        self._known.move_to_end(who)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
