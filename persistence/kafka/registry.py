"""Makes event schemas known to a schema registry that speaks Confluent's protocol.

A schema's subject is `{topic}-{record}`, such as "game-events-gameshard.MovePlayed.v1": Confluent's
TopicRecordNameStrategy, because one topic holds events of many types. The registry refuses what
couldn't read the revision before it: a subject that is new gets compatibility BACKWARD. One whose
compatibility somebody has set keeps it.

What is registered already is only looked up, so an owner may do without the right to register.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

import msgspec
from msgspec import Struct

from persistence.kafka.patience import patiently
from persistence.kafka.records import record_name
from persistence.log import LogError, Unavailable

_COMPATIBILITY = "BACKWARD"
_MEDIA = "application/vnd.schemaregistry.v1+json"
_ANSWER_S = 10.0
_LONGEST_ANSWER = 1 << 20
_LATER = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


class Schema(NamedTuple):
    """One version of one event, as it's registered.

    Attributes:
        event: Its name, such as "MovePlayed".
        version: From 1. A new one is a subject of its own; what changes compatibly keeps the old.
        text: The JSON Schema.
    """

    event: str
    version: int
    text: bytes

    @property
    def type(self) -> str:
        """What the JSON of such an event says of itself: "MovePlayed", "MovePlayed.v2"."""
        return self.event if self.version == 1 else f"{self.event}.v{self.version}"


class SchemaRefused(LogError):  # noqa: N818  (as the family's others)
    """The registry won't have it, and would say so again: the schema, or us.

    Attributes:
        subject: Under which it was to be registered.
        status: The registry's answer, as HTTP has it.
        reason: The registry's own words.
    """

    def __init__(self, subject: str, status: int, reason: str) -> None:
        super().__init__(f"the schema registry refuses {subject}: {status}: {reason}")
        self.subject = subject
        self.status = status
        self.reason = reason


class IncompatibleSchema(SchemaRefused):
    """Readers of it couldn't read what was written under the schema before it."""


class Registry:
    """A registry by its URL."""

    def __init__(self, url: str) -> None:
        """Name the registry: http or https, its path if it has one, and USER:PASSWORD@ if it asks.

        Raises:
            ValueError: If that isn't such a URL.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("a schema registry is named by an http or https URL")
        self._secure = parts.scheme == "https"
        self._place = parts.hostname, parts.port
        self._path = parts.path.rstrip("/")
        self._headers = {"Content-Type": _MEDIA, "Accept": f"{_MEDIA}, application/json"}
        if parts.username is not None:
            named = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(named).decode()}"

    async def register(
        self, topic: str, schemas: Iterable[tuple[str, int, bytes]], seconds: float = 30.0
    ) -> dict[str, int]:
        """Register (event, version, text) of each schema, where it isn't yet; return all ids.

        The ids stand by the event's type, as `records.Encoder` takes them. It may be called again,
        and by many at once.

        Raises:
            Unavailable: If the registry doesn't answer as one within `seconds`.
            IncompatibleSchema: If one of them couldn't read what was written before.
            SchemaRefused: If the registry won't take one for another reason.
        """
        wanted = [Schema(*schema) for schema in schemas]

        async def attempt() -> dict[str, int]:
            return await asyncio.to_thread(self._register, topic, wanted)

        return await patiently(seconds, "the schema registry", attempt)

    def _register(self, topic: str, schemas: Sequence[Schema]) -> dict[str, int]:
        host, port = self._place
        connection = (
            HTTPSConnection(host, port, timeout=_ANSWER_S, context=ssl.create_default_context())
            if self._secure
            else HTTPConnection(host, port, timeout=_ANSWER_S)
        )
        try:
            asked = partial(_ask, connection, self._path, self._headers)
            return {
                schema.type: _Subject(asked, f"{topic}-{record_name(schema.type)}").id_of(schema)
                for schema in schemas
            }
        finally:
            connection.close()


class _Answer(NamedTuple):
    status: int
    body: bytes


_Ask = Callable[[str, str, dict[str, str] | None], _Answer]
"""(method, path, what to send) -> what the registry says."""


class _Number(Struct):
    id: int


class _Trouble(Struct):
    message: str = ""


class _Subject:
    """What is asked about one subject, a question at a time."""

    def __init__(self, ask: _Ask, name: str) -> None:
        self._ask = ask
        self._name = name
        self._path = quote(name, safe="")

    def id_of(self, schema: Schema) -> int:
        """Return the schema's id, registered if it has to be."""
        body = {"schemaType": "JSON", "schema": schema.text.decode()}
        if (number := self._known(body)) is not None:
            return number
        self._guard()
        answer = self._ask("POST", f"/subjects/{self._path}/versions", body)
        if answer.status == HTTPStatus.CONFLICT:  # or has another been quicker with the same?
            if (number := self._known(body)) is not None:
                return number
            raise IncompatibleSchema(self._name, answer.status, _reason(answer))
        return self._number(answer)

    def _known(self, body: dict[str, str]) -> int | None:
        answer = self._ask("POST", f"/subjects/{self._path}", body)
        return None if answer.status == HTTPStatus.NOT_FOUND else self._number(answer)

    def _guard(self) -> None:
        """Give the subject its compatibility, unless it has one of its own."""
        path = f"/config/{self._path}"
        answer = self._ask("GET", path, None)
        if answer.status == HTTPStatus.NOT_FOUND:
            answer = self._ask("PUT", path, {"compatibility": _COMPATIBILITY})
            if answer.status == HTTPStatus.CONFLICT:  # somebody has set it meanwhile
                return
        self._demand(answer)

    def _number(self, answer: _Answer) -> int:
        self._demand(answer)
        try:
            return msgspec.json.decode(answer.body, type=_Number).id
        except msgspec.DecodeError:
            raise Unavailable(f"what it answers for {self._name} is no id") from None

    def _demand(self, answer: _Answer) -> None:
        if answer.status != HTTPStatus.OK:
            raise SchemaRefused(self._name, answer.status, _reason(answer))


def _ask(
    connection: HTTPConnection,
    prefix: str,
    headers: dict[str, str],
    method: str,
    path: str,
    body: dict[str, str] | None,
) -> _Answer:
    content = None if body is None else json.dumps(body).encode()
    try:
        connection.request(method, prefix + path, content, headers)
        response = connection.getresponse()
        answer = _Answer(response.status, response.read(_LONGEST_ANSWER))
    except (OSError, HTTPException) as error:
        connection.close()
        raise Unavailable(f"{type(error).__name__}: {error}") from error
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status in _LATER:
        raise Unavailable(f"{answer.status}: {_reason(answer)}")
    return answer


def _reason(answer: _Answer) -> str:
    """Return the registry's message, or the beginning of whatever it said."""
    try:
        message = msgspec.json.decode(answer.body, type=_Trouble).message
    except msgspec.DecodeError:
        message = ""
    return message or answer.body[:200].decode(errors="replace")
