"""Finding out who calls: bearer tokens in headers and subprotocols, addresses, limits."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from time import monotonic
from typing import Any

from gateway.identity import Identity, Unknown, User
from gateway.issuer import IssuerAway
from gateway.limits import Limit
from gateway.names import NameBook
from gateway.problems import Problem, unauthenticated
from gateway.settings import GatewaySettings

Scope = MutableMapping[str, Any]


class Callers:
    """Knows callers by their tokens, and how much each may ask."""

    def __init__(self, identity: Identity, names: NameBook, settings: GatewaySettings) -> None:
        """Verify by `identity`; names in new tokens go to `names`."""
        self.identity = identity
        self.names = names
        most = settings.buckets
        self.commands = Limit("commands", settings.command_rate, settings.command_burst, most)
        self.reads = Limit("reads", settings.read_rate, settings.read_burst, most)
        self.creations = Limit("creations", settings.create_rate, settings.create_burst, most)
        self.tokens = Limit("tokens", settings.token_rate, settings.token_burst, most)

    async def by_header(self, headers: Iterable[tuple[bytes, bytes]]) -> User | None:
        """Return the caller, or None without a token.

        Raises:
            Problem: If there's a token that isn't good.
        """
        for name, value in headers:
            if name == b"authorization":
                scheme, _, token = value.partition(b" ")
                if scheme.lower() != b"bearer":
                    raise unauthenticated("The Authorization header must be: Bearer TOKEN.")
                return await self.by_token(token.decode("latin-1").strip())
        return None

    async def by_token(self, token: str) -> User:
        """Return whose token this is.

        Raises:
            Problem: If it isn't good, or that can't be known now.
        """
        user = self.identity.known(token)
        if user is None:
            try:
                user = await self.identity.identify(token)
            except Unknown as error:
                raise unauthenticated(str(error)) from error
            except IssuerAway as error:
                detail = "The issuer of your token doesn't answer just now, so we can't check it."
                raise Problem("unavailable", detail, [(b"retry-after", b"5")]) from error
            if user.name is not None:
                self.names.remember(user.id, user.name)
        return user

    async def reader(self, scope: Scope) -> str | None:
        """Return who reads (None: somebody unknown), and count the request.

        Raises:
            Problem: If the token isn't good, or they read too much.
        """
        user = await self.by_header(scope["headers"])
        self.charge(self.reads, user.id if user else address(scope))
        return user.id if user else None

    async def required(self, headers: Iterable[tuple[bytes, bytes]]) -> User:
        """Return the caller.

        Raises:
            Problem: If there's no good token.
        """
        user = await self.by_header(headers)
        if user is None:
            raise unauthenticated("This needs a token: Authorization: Bearer TOKEN.")
        return user

    def charge(self, limit: Limit, who: str) -> None:
        """Count one request of `who`.

        Raises:
            Problem: If there were too many.
        """
        wait = limit.take(who, monotonic())
        if wait:
            detail = f"Too many {limit.name} at once; wait {wait:.1f} s."
            raise Problem("rate_limited", detail, limit.headers(wait))


def address(scope: Scope) -> str:
    """Return the caller's network address."""
    client = scope.get("client")
    return client[0] if client else ""
