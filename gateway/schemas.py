"""JSON Schemas of everything that goes in and out, from the types that the code itself uses."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.behaviour import Command
from gateway.catalog import Catalog
from gateway.frames import (
    Accepted,
    Plain,
    Pong,
    Reconnect,
    Rejection,
    Resumed,
    Resuming,
    Subscribe,
    Unsubscribed,
)

Schema = dict[str, Any]
_TEMPLATE = "#/components/schemas/{name}"
_ENVELOPE = ("type", "id", "game")

BUILT_IN_FRAMES: dict[str, type] = {
    "subscribe": Subscribe,
    "unsubscribe": Plain,
    "resume": Resuming,
    "ping": Plain,
}
SERVER_FRAMES: dict[str, type] = {
    "accepted": Accepted,
    "rejected": Rejection,
    "resumed": Resumed,
    "unsubscribed": Unsubscribed,
    "pong": Pong,
    "reconnect": Reconnect,
}

PLAYER: Schema = {
    "type": ["object", "null"],
    "properties": {"id": {"type": "string"}, "name": {"type": ["string", "null"]}},
    "required": ["id", "name"],
}
GAME: Schema = {
    "type": "object",
    "description": "The game as its kind shows it; every kind has these and adds its own.",
    "properties": {
        "id": {"type": "string"},
        "kind": {"type": "string"},
        "seq": {"type": "integer", "description": "Events so far; the ETag."},
        "now": {"type": "string", "format": "date-time", "description": "The server's time."},
    },
    "required": ["id", "kind", "seq", "now"],
    "additionalProperties": True,
}
PROBLEM: Schema = {
    "type": "object",
    "description": "RFC 9457. `code` is stable; compare it, not the texts.",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "instance": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail", "code", "instance"],
}


class Schemas:
    """All schemas of a catalog, named once, and references to them."""

    def __init__(self, catalog: Catalog) -> None:
        """Make the schemas of the catalog's commands, queries and events."""
        types: list[type] = [*BUILT_IN_FRAMES.values(), *SERVER_FRAMES.values()]
        for kind in catalog.kinds.values():
            behaviour = kind.behaviour
            types += [*behaviour.commands.values(), *behaviour.queries.values(), *behaviour.events]
        types = list(dict.fromkeys(types))
        found, self.components = msgspec.json.schema_components(types, ref_template=_TEMPLATE)
        self._found = dict(zip(types, found, strict=True))
        self.components.update(Game=GAME, Player=PLAYER, Problem=PROBLEM)

    def ref(self, of: type) -> Schema:
        """Return a reference to a type's schema."""
        return self._found[of]

    def schema(self, of: type) -> Schema:
        """Return a type's own schema."""
        return self.components[self._found[of]["$ref"].rsplit("/", 1)[1]]

    def body(self, command: type[Command]) -> Schema:
        """Return the schema of a command as the body of a request, without its envelope."""
        schema = dict(self.schema(command))
        fields = schema.get("properties", {})
        schema["properties"] = {k: v for k, v in fields.items() if k not in _ENVELOPE}
        schema["required"] = [k for k in schema.get("required", ()) if k not in _ENVELOPE]
        schema.pop("title", None)
        return schema


def first_line(of: type) -> str:
    """Return the first line of what a type says about itself, or else its name."""
    return (of.__doc__ or "").strip().split("\n")[0].rstrip(".") or of.__name__


def merged(schemas: list[Schema]) -> Schema:
    """Return one schema that any of `schemas` satisfies."""
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
