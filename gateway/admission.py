"""Who may connect just now: handshakes have a limit, and who flooded must stay away for a while.

Known by their token, or else by their address. It's asked before anything is spent on a handshake,
answers from memory, and knows this gateway only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import monotonic

from gateway.identity import Identity
from gateway.lane import Lane
from gateway.limits import Limit, Penalties
from gateway.metrics import Counts
from gateway.problems import Header
from gateway.settings import GatewaySettings


class Admission:
    """Lets WebSockets in, or tells how long to stay away."""

    def __init__(
        self,
        identity: Identity,
        settings: GatewaySettings,
        counts: Counts,
        porch: Lane,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Know users by `identity`; handshakes wait in `porch`. `clock` is in seconds."""
        most = settings.buckets
        self.counts = counts
        self.porch = porch
        self._identity = identity
        self._clock = clock
        self._direct = not settings.trusted_proxies
        self._penalties = Penalties(settings.penalty, settings.longest_penalty, most)
        self._users = Limit("handshakes", settings.connect_rate, settings.connect_burst, most)
        self._addresses = Limit(
            "handshakes", settings.address_connect_rate, settings.address_connect_burst, most
        )

    def at_door(self, headers: Iterable[Header], address: str) -> float:
        """Return for how many seconds a handshake can be refused before it's read any further.

        0: it must be looked at. Behind proxies `address` is a proxy's and tells nothing.
        """
        token = _token(headers)
        user = self._identity.known(token) if token is not None else None
        if user is not None:
            return self._penalties.left(user.id, self._clock())
        return self._penalties.left(_at(address), self._clock()) if self._direct else 0.0

    def enter(self, user: str | None, address: str) -> float:
        """Count a handshake; return 0, or for how many seconds it's refused."""
        who, now = caller(user, address), self._clock()
        wait = self._penalties.left(who, now)
        if not wait:
            wait = (self._addresses if user is None else self._users).take(who, now)
            if wait:
                self._penalties.bar(who, now + wait)
        return wait

    def punish(self, who: str) -> None:
        """Keep away a `caller` who flooded, longer each time."""
        self._penalties.punish(who, self._clock())


def caller(user: str | None, address: str) -> str:
    """Return under what name a caller is remembered: the user, or somebody at an address."""
    return _at(address) if user is None else user


def _at(address: str) -> str:
    return "\0" + address  # a user's id is printable


def _token(headers: Iterable[Header]) -> str | None:
    """Return the bearer token of a handshake, without judging it."""
    for name, value in headers:
        if name == b"authorization":
            return value[7:].strip().decode("latin-1")
        if name == b"sec-websocket-protocol" and value.startswith(b"bearer,"):
            return value[7:].split(b",")[0].strip().decode("latin-1")
    return None
