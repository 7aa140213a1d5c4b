"""JSON Schemas of everything that goes in and out, from the types that the code itself uses."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.behaviour import Command, Player
from gateway.catalog import Catalog, Kind
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

_EVERY_GAME: Schema = {
    "id": {"type": "string"},
    "kind": {"type": "string"},
    "seq": {"type": "integer", "description": "Events so far; the ETag."},
    "now": {"type": "string", "format": "date-time", "description": "The server's time."},
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

    def __init__(self, catalog: Catalog, *more: type) -> None:
        """Make the schemas of the catalog's commands, queries, answers, events and of `more`."""
        types: list[type] = [*BUILT_IN_FRAMES.values(), *SERVER_FRAMES.values(), Player, *more]
        for kind in catalog.kinds.values():
            behaviour = kind.behaviour
            types += [*behaviour.commands.values(), *behaviour.queries.values(), *behaviour.events]
            types += behaviour.answers.values()
        types = list(dict.fromkeys(types))
        found, self.components = msgspec.json.schema_components(types, ref_template=_TEMPLATE)
        self._found = dict(zip(types, found, strict=True))
        games = [self._whole(kind) for kind in catalog.kinds.values()]
        self.components["Game"] = {"description": "A game of any kind.", **merged(games)}
        self.components["Problem"] = PROBLEM

    def _whole(self, kind: Kind) -> Schema:
        """Add to what a kind of game shows what the gateway tells of every game."""
        answer = kind.behaviour.answers["state"]
        schema = self.schema(answer)
        every = _EVERY_GAME | {"kind": {"const": kind.name}}
        own = {k: v for k, v in schema.get("properties", {}).items() if k not in every}
        schema["properties"] = every | own
        schema["required"] = list(dict.fromkeys([*every, *schema.get("required", ())]))
        return self.ref(answer)

    def ref(self, of: type) -> Schema:
        """Return a reference to a type's schema."""
        return self._found[of]

    def schema(self, of: type) -> Schema:
        """Return a type's own schema."""
        return self.components[self._found[of]["$ref"].rsplit("/", 1)[1]]

    def body(self, command: type[Command]) -> Schema:
        """Return the schema of a command as a client's body: without envelope and inner fields."""
        hidden = (*_ENVELOPE, *command.internal)
        schema = dict(self.schema(command))
        fields = schema.get("properties", {})
        schema["properties"] = {k: v for k, v in fields.items() if k not in hidden}
        schema["required"] = [k for k in schema.get("required", ()) if k not in hidden]
        schema.pop("title", None)
        return schema


def first_line(of: type) -> str:
    """Return the first line of what a type says about itself, or else its name."""
    return (of.__doc__ or "").strip().split("\n")[0].rstrip(".") or of.__name__


def merged(schemas: list[Schema]) -> Schema:
    """Return one schema that any of `schemas` satisfies."""
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
