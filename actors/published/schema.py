"""The JSON Schema of each event of a game, made from its Struct.

A schema tells what is written: these fields and no others. Whoever reads had better ignore what
it doesn't know, for the next release may write a field more.

It's draft 7 without anything that later drafts changed, because that's what registries and
consumers in every language read.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from actors.behaviour import Event

NAMESPACE = "gameshard"

Schema = dict[str, Any]

_DRAFT = "http://json-schema.org/draft-07/schema#"
_TAG = re.compile(r"(?P<event>.+?)(?:\.v(?P<version>[1-9][0-9]*))?")

_STAMPED: Mapping[str, Schema] = {
    "game": {"description": "The game's id, which is also the record's key.", "type": "string"},
    "seq": {
        "description": "The number of the event in its game, from 1 without gaps.",
        "type": "integer",
        "minimum": 1,
    },
    "at": {
        "description": "When it happened, by the clock of the game's owner.",
        "type": "string",
        "format": "date-time",
    },
}
"""The runtime stamps these before anybody sees the event: they are never left out."""


class Published(NamedTuple):
    """One version of one event.

    Attributes:
        event: Its name without the version, such as "MovePlayed".
        version: From 1; a new one is another event that takes the place of the old.
        text: The schema as it's committed and registered: UTF-8, with a line's end at the end.
    """

    event: str
    version: int
    text: bytes

    @property
    def record(self) -> str:
        """The name that consumers know it by, such as "gameshard.MovePlayed.v1"."""
        return f"{NAMESPACE}.{self.event}.v{self.version}"


class Ambiguous(ValueError):  # noqa: N818  (named for what it is, like the contracts' errors)
    """Two events of the same name and version: readers couldn't tell them apart."""

    def __init__(self, record: str) -> None:
        super().__init__(f"there are two events {record}")
        self.record = record


def published(events: Iterable[type[Struct]]) -> list[Published]:
    """Return the schema of each event, in their order; equal Structs give equal bytes.

    Args:
        events: Tagged Structs; those of games are told what the runtime stamps on them.

    Raises:
        Ambiguous: If two of the events have the same name and version.
    """
    found: dict[str, Published] = {}
    for event in events:
        one = _published(event)
        if one.record in found:
            raise Ambiguous(one.record)
        found[one.record] = one
    return list(found.values())


def _published(event: type[Struct]) -> Published:
    name, version = _name_and_version(event)
    one = Published(name, version, b"")
    schema = {"$schema": _DRAFT, "$id": one.record, "title": one.record, **_body(event)}
    text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    return one._replace(text=text.encode())


def _name_and_version(event: type[Struct]) -> tuple[str, int]:
    """Read the tag: "MovePlayed" is version 1, "MovePlayed.v2" is version 2."""
    tag = event.__struct_config__.tag
    match = _TAG.fullmatch(str(tag))
    assert match is not None
    return match["event"], int(match["version"] or 1)


def _body(event: type[Struct]) -> Schema:
    _, components = msgspec.json.schema_components([event], ref_template="#/definitions/{name}")
    for component in components.values():
        del component["title"]
        if "properties" in component:
            component["additionalProperties"] = False
        if "description" in component:
            component["description"] = inspect.cleandoc(component["description"])
    body = components.pop(event.__name__)
    if issubclass(event, Event):
        always = {*_STAMPED, *body["required"]}
        body["properties"] |= _STAMPED
        body["required"] = [name for name in body["properties"] if name in always]
    return body | ({"definitions": components} if components else {})
