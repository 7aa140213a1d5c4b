"""Resume tokens: short proofs that somebody was a player of a game a while ago.

With one, a client continues its session of that game without its bearer token. It's good for an
hour, and each session begins with a new one; after a day a bearer token is needed again.
"""

from __future__ import annotations

import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b

import msgspec

from gateway.identity import derive

_GOOD_S = 3600
_AT_MOST_S = 86_400
_MAC = 16
_LONGEST = 1024
"""A user's id has up to 128 characters, of up to 4 bytes each."""

_decode = msgspec.msgpack.Decoder(tuple[str, str, int, int]).decode


class ResumeTokens:
    """Signs and reads them."""

    def __init__(self, secret: bytes) -> None:
        """Sign by a key derived from the cluster's `secret`."""
        self._key = derive(secret, b"resume tokens")

    def _mac(self, body: bytes) -> bytes:
        return blake2b(body, key=self._key, digest_size=_MAC).digest()

    def issue(self, user: str, game: str, until: int | None = None) -> str:
        """Return a token for `user`'s session of `game`.

        `until` (seconds since the epoch) is when a bearer token is needed again; None is a day
        from now, for somebody who has just shown one.
        """
        now = int(time.time())
        until = now + _AT_MOST_S if until is None else until
        body = msgspec.msgpack.encode((user, game, min(now + _GOOD_S, until), until))
        return urlsafe_b64encode(self._mac(body) + body).decode()

    def read(self, token: str, game: str) -> tuple[str, int] | None:
        """Return (user, until) of a good token for `game`; None of any other."""
        if len(token) > _LONGEST:
            return None
        try:
            data = urlsafe_b64decode(token.encode("ascii"))
        except ValueError:
            return None
        if not hmac.compare_digest(data[:_MAC], self._mac(data[_MAC:])):
            return None
        user, named, expires, until = _decode(data[_MAC:])
        return (user, until) if named == game and time.time() < expires else None
