"""The outside issuer's public keys: fetched when they're needed, one fetch at a time.

The issuer may be slow, away or broken. Whoever shows a key that's known here never notices;
others are told soon that it can't be said now who they are, instead of waiting behind each other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import monotonic

import jwt

_log = logging.getLogger(__name__)
_FRESH_S = 300.0
"""Keys older than that are fetched anew, while they're still used."""
_STALE_S = 3600.0
"""Keys older than that aren't used any more."""
_AGAIN_S = 30.0
"""A key that the issuer didn't have is looked for again after so long."""
_AWAY_S = 5.0
"""After a fetch that failed nobody tries for so long."""
_PATIENCE_S = 2.0
"""So long a fetch may take until whoever needs it is turned away."""
_TIMEOUT_S = 5.0


class IssuerAway(Exception):  # noqa: N818  (a fact about the issuer)
    """The issuer's keys can't be had just now."""


Fetch = Callable[[], Sequence[jwt.PyJWK]]


def fetcher(url: str) -> Fetch:
    """Return a function that fetches the keys at `url`, in the calling thread."""
    return jwt.PyJWKClient(url, timeout=_TIMEOUT_S, cache_jwk_set=False).get_signing_keys


class IssuerKeys:
    """Key id -> key, as far as the issuer told lately."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float] = monotonic) -> None:
        """Get the keys by `fetch`, which may take long and raise. `clock` is in seconds."""
        self._fetch = fetch
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._told_at = -_STALE_S
        self._failed_at = -_AWAY_S
        self._begun_at = 0.0
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, name: str | None) -> jwt.PyJWK | None:
        """Return the key of this id, or None if the issuer has none.

        Raises:
            IssuerAway: If that can't be known now.
        """
        age = self._clock() - self._told_at
        if age >= _STALE_S:
            self._keys = {}
        found = self._keys.get(name or "")
        if found is not None:
            if age >= _FRESH_S:
                self._refresh()
            return found
        if age >= _AGAIN_S:
            await self._refreshed()
        return self._keys.get(name or "")

    def _refresh(self) -> asyncio.Task[None] | None:
        """Return the fetch that is under way; None if it's too early for another."""
        if self._fetching is None and self._clock() - self._failed_at >= _AWAY_S:
            self._begun_at = self._clock()
            self._fetching = asyncio.get_running_loop().create_task(self._fetched())
        return self._fetching

    async def _refreshed(self) -> None:
        fetching = self._refresh()
        patience = self._begun_at + _PATIENCE_S - self._clock()
        if fetching is None or patience <= 0:
            raise IssuerAway
        # Not cancelled with one who waits: the others wait for it, too.
        done, _ = await asyncio.wait((fetching,), timeout=patience)
        if not done or self._told_at < self._begun_at:
            raise IssuerAway

    async def _fetched(self) -> None:
        try:
            keys = await asyncio.to_thread(self._fetch)
        except Exception as error:  # noqa: BLE001  (there are many ways to be no set of keys)
            _log.warning("the issuer's keys can't be had: %s", error)
            self._failed_at = self._clock()
        else:
            self._keys = {key.key_id: key for key in keys if key.key_id}
            self._told_at = self._clock()
        finally:
            self._fetching = None
