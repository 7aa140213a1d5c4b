"""POST /operations: what an operator asks of a running cluster, on any gateway.

Whoever knows the cluster's secret may operate it: the token is made from it, so that a machine
with the data directory (or a deployment's secret) needs nothing else.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.http import read_body
from gateway.problems import Problem, unauthenticated
from runtime.operations import Progress, Refusal

_LONGEST = 16 * 1024


class Operated(Protocol):
    """What can be operated: the router, which passes it to the coordinator."""

    async def operate(self, verb: bytes) -> Progress:
        """Begin an operation; raises `Refusal`."""
        ...


def operator_token(secret: bytes) -> str:
    """Return the bearer token of the cluster's operators."""
    return hmac.new(secret, b"operator", sha256).hexdigest()


class Operators:
    """The handler."""

    def __init__(self, cluster: Operated, secret: bytes) -> None:
        """Pass operations on to `cluster`, from those who know `secret`."""
        self._cluster = cluster
        self._token = operator_token(secret)

    async def operate(self, request: Request) -> Response:
        """Begin the operation in the body; answer 202 with its progress."""
        said = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(said, b"Bearer " + self._token.encode()):
            raise unauthenticated("This takes the operators' token.")
        verb = await read_body(request.scope, request.receive, _LONGEST)
        try:
            progress = await self._cluster.operate(verb)
        except Refusal as refusal:
            raise Problem("operation_refused", refusal.args[0]) from refusal
        except Exception as error:
            detail = "The coordinator doesn't answer just now; nothing is known to have begun."
            raise Problem("unavailable", detail, [(b"retry-after", b"2")]) from error
        return Response(msgspec.json.encode(progress), 202, media_type="application/json")
