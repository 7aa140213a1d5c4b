"""What the parent process asks the server itself, before and after a run."""

from __future__ import annotations

import http.client

import msgspec

from bench.parts import Shards
from bench.target import Target

_TIMEOUT_SECONDS = 10.0


class UnreachableError(Exception):
    """The server at this URL does not answer, or not as a gameshard does."""


def get(target: Target, path: str, timeout: float = _TIMEOUT_SECONDS) -> bytes:
    """Return the body of GET `path`.

    Raises:
        UnreachableError: If there is no answer, or another one than 200.
    """
    kind = http.client.HTTPSConnection if target.tls else http.client.HTTPConnection
    connection = kind(target.host, target.port, timeout=timeout)
    try:
        connection.request("GET", target.path + path)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(f"{target.url}: {error}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise UnreachableError(f"GET {target.url}{path}: {answer.status} {body[:200]!r}")
    return body


def shards(target: Target, timeout: float = _TIMEOUT_SECONDS) -> Shards:
    """Return the body of GET /shards.

    Raises:
        UnreachableError: If the server does not give it.
    """
    try:
        return msgspec.json.decode(get(target, "/shards", timeout), type=Shards)
    except msgspec.DecodeError as error:
        raise UnreachableError(f"{target.url}/shards: {error}") from error
