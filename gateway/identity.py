"""Who somebody is: the tokens of guests, signed by us, and those of an outside issuer.

Verifying takes 20-100 us, so a verified token is remembered until it expires: the hot paths
find it with `known`.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import jwt
from msgspec import Struct

from gateway.ids import random_ids
from gateway.issuer import IssuerKeys, fetcher
from gateway.names import clean_name
from gateway.recent import Recent
from gateway.settings import GatewaySettings

_GUESTS = "gameshard"
_REMEMBERED = 100_000
_LONGEST_TOKEN = 8_000
"""websockets refuses a line of more than 8,192 bytes, and the header's name is in it."""
_LONGEST_ID = 128


class User(Struct, frozen=True):
    """Somebody whose token was good. `expires` is in seconds since the epoch."""

    id: str
    name: str | None
    expires: float


class Unknown(Exception):  # noqa: N818  (a fact about the caller, not a failure of ours)
    """The token proves nothing; the message says why."""


def derive(secret: bytes, purpose: bytes) -> bytes:
    """Return the key for one purpose: what is signed for one never counts for another."""
    return blake2b(secret, digest_size=32, person=purpose).digest()


class Identity:
    """Issues and verifies bearer tokens."""

    def __init__(self, settings: GatewaySettings, secret: bytes) -> None:
        """Sign guests' tokens by a key derived from the cluster's `secret`."""
        self.guests = settings.guests
        self._key = derive(secret, b"guest tokens")
        self._lifetime = settings.guest_days * 86_400
        self._issuer = settings.issuer or None
        self._audience = settings.audience
        self._algorithms = [a.strip() for a in settings.algorithms.split(",") if a.strip()]
        if any(a.startswith("HS") or a == "none" for a in self._algorithms):
            raise ValueError("the issuer's tokens must be signed by a key pair (RS256, ES256, ...)")
        self._keys: IssuerKeys | None = None
        if settings.issuer_jwks:
            if self._issuer is None:
                raise ValueError("issuer_jwks needs issuer, the `iss` of its tokens")
            self._keys = IssuerKeys(fetcher(settings.issuer_jwks))
        self._known: Recent[User] = Recent(_REMEMBERED)
        self._new_id = random_ids()

    def known(self, token: str) -> User | None:
        """Return whose token this is, if it was verified here before."""
        return self._known.get(token, time.time())

    def issue(self, name: str) -> tuple[str, User]:
        """Return a new guest's token.

        Raises:
            ValueError: If the name can't be one.
        """
        now = int(time.time())
        user = User(self._new_id(), clean_name(name), now + self._lifetime)
        claims = {
            "iss": _GUESTS,
            "sub": user.id,
            "name": user.name,
            "iat": now,
            "exp": now + self._lifetime,
        }
        token = jwt.encode(claims, self._key, "HS256")
        self._known.put(token, user, user.expires)
        return token, user

    async def identify(self, token: str) -> User:
        """Verify a token.

        Raises:
            Unknown: If it's none of ours or the issuer's, or has expired.
            IssuerAway: If that can't be known now.
        """
        if len(token) > _LONGEST_TOKEN:
            raise Unknown("The token is too long.")
        try:
            algorithm = jwt.get_unverified_header(token).get("alg")
            if algorithm == "HS256" and self.guests:
                claims = self._ours(token)
            elif algorithm in self._algorithms and self._keys is not None:
                claims = await self._theirs(token, self._keys)
            else:
                raise Unknown("Tokens of this kind aren't taken here.")
        except jwt.ExpiredSignatureError as error:
            raise Unknown("The token has expired.") from error
        except (jwt.PyJWTError, ValueError, OverflowError, RecursionError) as error:
            raise Unknown("The token isn't valid.") from error
        user = _user(claims)
        self._known.put(token, user, user.expires)
        return user

    def _ours(self, token: str) -> dict[str, Any]:
        return jwt.decode(
            token,
            self._key,
            algorithms=["HS256"],
            issuer=_GUESTS,
            options={"require": ["exp", "sub", "iss"]},
        )

    async def _theirs(self, token: str, keys: IssuerKeys) -> dict[str, Any]:
        key = await keys.key(jwt.get_unverified_header(token).get("kid"))
        if key is None:
            raise Unknown("The token's key isn't one of the issuer's.")
        return jwt.decode(
            token,
            key,
            algorithms=self._algorithms,
            issuer=self._issuer,
            audience=self._audience,
            options={"require": ["exp", "sub", "iss", "aud"]},
        )


def _user(claims: dict[str, Any]) -> User:
    user, name = claims["sub"], claims.get("name")
    if not (0 < len(user) <= _LONGEST_ID and user.isprintable()):
        raise Unknown("The token's subject can't be a user's id.")
    try:
        name = clean_name(name) if isinstance(name, str) else None
    except ValueError:
        name = None
    return User(user, name, float(claims["exp"]))


def expiry(user: User) -> datetime:
    """Return when the user's token expires."""
    return datetime.fromtimestamp(user.expires, UTC)
