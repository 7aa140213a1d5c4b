"""Everything that can go wrong, as RFC 9457 tells it; the one table of HTTP statuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil

import msgspec

from actors.behaviour import Behaviour
from runtime.asks import Away, Refused

Header = tuple[bytes, bytes]
Response = tuple[int, list[Header], bytes]

_GATEWAY = {
    "unauthenticated": 401,
    "guests_off": 403,
    "operation_refused": 409,
    "not_found": 404,
    "method_not_allowed": 405,
    "too_slow": 408,
    "too_large": 413,
    "too_many_subscriptions": 409,
    "rate_limited": 429,
    "internal": 500,
    "unavailable": 503,
}
_RUNTIME = {
    "invalid_request": 400,
    "no_such_game": 404,
    "unknown_command": 404,
    "game_exists": 409,
    "no_effect": 409,
    "too_many_events": 409,
    "key_reused": 422,
    "answer_too_large": 500,
    "game_failed": 500,
    "overloaded": 503,
}
_OTHER = 422

BAD_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder may raise over whatever a client sent."""

_encode = msgspec.json.Encoder().encode
_MEDIA = (b"content-type", b"application/problem+json")


class Problem(Exception):  # noqa: N818  (the name that RFC 9457 gives it)
    """Ends a request with an error.

    Attributes:
        code: A stable word that clients may compare.
        detail: A sentence for a person.
        headers: What else the response says.
    """

    def __init__(self, code: str, detail: str = "", headers: Sequence[Header] = ()) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.headers = headers


def statuses(behaviours: Iterable[Behaviour]) -> dict[str, int]:
    """Return code -> HTTP status: the gateway's, the runtime's and the games' codes.

    Raises:
        ValueError: If two games give one code two statuses.
    """
    table = {**_GATEWAY, **_RUNTIME}
    for behaviour in behaviours:
        for code, status in behaviour.rejections.items():
            if table.setdefault(code, status) != status:
                raise ValueError(f"{behaviour.kind} gives {code!r} another status than others do")
    return table


class Problems:
    """Makes the responses."""

    def __init__(self, table: Mapping[str, int]) -> None:
        """Take statuses from `table`."""
        self.table = table

    def status(self, code: str) -> int:
        """Return the status of a code, also of one that no game has named."""
        return self.table.get(code, _OTHER)

    def body(self, code: str, detail: str, instance: str) -> dict[str, object]:
        """Return the members of a problem."""
        title = code.replace("_", " ").capitalize()
        return {
            "type": f"/problems/{code}",
            "title": title,
            "status": self.status(code),
            "detail": detail or f"{title}.",
            "code": code,
            "instance": instance,
        }

    def response(self, problem: Problem, instance: str) -> Response:
        """Return the response to a request for the path `instance`."""
        body = _encode(self.body(problem.code, problem.detail, instance))
        length = (b"content-length", b"%d" % len(body))
        return self.status(problem.code), [_MEDIA, length, *problem.headers], body


def refusal(answer: Refused | Away) -> Problem:
    """Return the problem that an answer of the runtime is."""
    if isinstance(answer, Refused):
        after: Sequence[Header] = [(b"retry-after", b"1")] if answer.code == "overloaded" else ()
        return Problem(answer.code, answer.detail, after)
    seconds = max(1, ceil(answer.retry_after_ms / 1000))
    detail = "The game's owner doesn't answer just now. The same request may be repeated."
    return Problem("unavailable", detail, [(b"retry-after", b"%d" % seconds)])


def unauthenticated(detail: str) -> Problem:
    """Return the problem of a caller whom we don't know."""
    return Problem("unauthenticated", detail, [(b"www-authenticate", b"Bearer")])
