"""The few words of HTTP that the plain ASGI routes need."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from gateway.problems import BAD_JSON, Header, Problem, Response

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON: Header = (b"content-type", b"application/json")
MOST_SEQ = 1 << 31
"""No game gets so far; a larger number wouldn't travel on every link."""
_LONGEST_KEY = 128
_DRAINED = 1 << 20
"""A body that's too large is read so far and dropped, since a client that's still sending when we
hang up never reads our answer."""


class Gone(Exception):  # noqa: N818  (a fact about the caller, not a failure of ours)
    """The client hung up: nobody is there to be answered, and half a request asks for nothing."""


def ok(status: int, body: bytes, *headers: Header) -> Response:
    """Return a response with JSON."""
    return status, [JSON, (b"content-length", b"%d" % len(body)), *headers], body


async def reply(send: Send, response: Response) -> None:
    """Send a whole response."""
    status, headers, body = response
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """Return the request's body.

    Raises:
        Problem: If it has more than `limit` bytes.
        Gone: If the client hangs up before its end, or takes too long (`gateway.punctual`).
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and (len(value) > 15 or int(value) > _DRAINED):
            raise _too_large(limit)
    body, drained, more = b"", 0, True
    while more and drained <= _DRAINED:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        part: bytes = message.get("body", b"")
        drained += len(part)
        body = body + part if drained <= limit else b""
        more = message.get("more_body", False)
    if drained > limit:
        raise _too_large(limit)
    return body


def _too_large(limit: int) -> Problem:
    # The rest isn't read, so the connection can't be used again.
    return Problem("too_large", f"A body has at most {limit} bytes.", [(b"connection", b"close")])


def idempotency_key(headers: Iterable[Header]) -> str | None:
    """Return the Idempotency-Key.

    Raises:
        Problem: If it's empty, too long, or not printable ASCII.
    """
    for name, value in headers:
        if name == b"idempotency-key":
            key = value.decode("latin-1")
            if 0 < len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable():
                return key
            detail = f"An Idempotency-Key has 1 to {_LONGEST_KEY} printable ASCII characters."
            raise Problem("invalid_request", detail)
    return None


class _Envelope(Struct):
    """What a WebSocket frame says beside its command; HTTP says it elsewhere."""

    id: str | None = None
    game: str | None = None


_envelope = msgspec.json.Decoder(_Envelope).decode


def check_envelope(body: bytes, game: str | None, key: str | None) -> None:
    """Hold a command's body to the game of the path and the key of the headers.

    Raises:
        Problem: If it names others, or isn't a JSON object.
    """
    try:
        said = _envelope(body)
    except BAD_JSON as error:
        raise Problem("invalid_request", str(error)) from error
    if said.game not in (None, game):
        raise Problem("invalid_request", "The body names another game than the path.")
    if said.id not in (None, key):
        raise Problem("invalid_request", "The body's `id` isn't the Idempotency-Key.")


def parameters(scope: Scope) -> dict[str, str]:
    """Return the query parameters.

    Raises:
        Problem: If one comes twice, or they aren't text.
    """
    query = scope["query_string"]
    if not query:
        return {}
    try:
        pairs = parse_qsl(
            query.decode(), keep_blank_values=True, max_num_fields=32, errors="strict"
        )
    except ValueError as error:
        raise Problem("invalid_request", f"The query isn't right: {error}") from error
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Problem("invalid_request", "A query parameter comes twice.")
    return found


def matches(headers: Iterable[Header], tag: bytes) -> bool:
    """Return whether If-None-Match names this entity tag (compared weakly, RFC 9110, 13.1.2)."""
    for name, value in headers:
        if name == b"if-none-match":
            tags = [t.strip().removeprefix(b"W/") for t in value.split(b",")]
            if tag in tags or b"*" in tags:
                return True
    return False
