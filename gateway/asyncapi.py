"""AsyncAPI 3.0 of the WebSocket, made from the installed games."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import msgspec

from gateway.catalog import Catalog
from gateway.schemas import BUILT_IN_FRAMES, SERVER_FRAMES, Schema, Schemas, first_line, merged

_ABOUT = (
    "JSON text frames. Authenticate by the Authorization header or by the subprotocols"
    ' ["bearer", TOKEN]; watching needs no token. Close codes: 4401 token, 4404 no such game,'
    " 4408 idle, 4429 too fast, 1009 too large, 1012 restart, 1013 try again later."
)


def asyncapi(catalog: Catalog) -> bytes:
    """Return the document as JSON."""
    schemas = Schemas(catalog)
    sent, received = _client(catalog, schemas), _server(catalog, schemas)
    names = [*sent, *received]
    messages = {name: {"$ref": f"#/components/messages/{name}"} for name in names}
    pinned = {n: m for n, m in messages.items() if n not in ("c.subscribe", "c.unsubscribe")}
    document = {
        "asyncapi": "3.0.0",
        "info": {"title": "gameshard", "version": version("gameshard"), "description": _ABOUT},
        "defaultContentType": "application/json",
        "channels": {
            "game": {
                "address": "/ws/games/{id}",
                "description": "One game; it begins with its snapshot, or with what came `after`.",
                "parameters": {"id": {"description": "The game's id."}},
                "messages": pinned,
                "bindings": {"ws": {"method": "GET", "query": _query()}},
            },
            "games": {
                "address": "/ws",
                "description": "Many games on one socket.",
                "messages": messages,
            },
        },
        "operations": {
            f"{action}{channel}": {
                "action": action,
                "channel": {"$ref": f"#/channels/{channel}"},
                "messages": [
                    {"$ref": f"#/channels/{channel}/messages/{name}"}
                    for name in some
                    if name in (pinned if channel == "game" else messages)
                ],
            }
            for channel in ("game", "games")
            for action, some in (("receive", sent), ("send", received))
        },
        "components": {"messages": {**sent, **received}, "schemas": schemas.components},
    }
    return msgspec.json.encode(document)


def _query() -> Schema:
    return {
        "type": "object",
        "properties": {
            "after": {"type": "integer", "minimum": 0},
            "resume": {"type": "string", "description": "A resume token."},
        },
    }


def _message(name: str, text: str, payload: Schema) -> dict[str, Any]:
    return {"name": name, "summary": text, "payload": payload}


def _client(catalog: Catalog, schemas: Schemas) -> dict[str, Any]:
    """Return the frames that a client may send."""
    found = {
        f"c.{name}": _message(name, first_line(frame), _typed(schemas.ref(frame), name))
        for name, frame in BUILT_IN_FRAMES.items()
    }
    for name in sorted(catalog.frames):
        commands = [command for _, known, _, command in catalog.commands() if known == name]
        payload = _typed(merged([schemas.ref(c) for c in commands]), name)
        found[f"c.{name}"] = _message(name, first_line(commands[0]), payload)
    return found


def _server(catalog: Catalog, schemas: Schemas) -> dict[str, Any]:
    """Return the frames that a server sends."""
    found = {
        f"s.{name}": _message(name, first_line(frame), schemas.ref(frame))
        for name, frame in SERVER_FRAMES.items()
    }
    snapshot: Schema = {
        "type": "object",
        "properties": {
            "type": {"const": "snapshot"},
            "game": {"type": "string"},
            "seq": {"type": "integer"},
            "state": {"$ref": "#/components/schemas/Game"},
            "resume": {"type": ["string", "null"]},
        },
        "required": ["type", "game", "seq", "state", "resume"],
    }
    presence: Schema = {
        "type": "object",
        "properties": {
            "type": {"const": "presence"},
            "game": {"type": "string"},
            "watchers": {
                "type": "integer",
                "description": "How many sockets follow the game, the players' among them.",
            },
        },
        "required": ["type", "game", "watchers"],
        "additionalProperties": {"type": "boolean"},
    }
    found["s.snapshot"] = _message("snapshot", "The game as it is at `seq`", snapshot)
    found["s.presence"] = _message("presence", "Which seats are connected", presence)
    for kind in catalog.kinds.values():
        for event in kind.behaviour.events:
            name = event.__name__
            found[f"s.{kind.name}.{name}"] = _message(name, first_line(event), schemas.ref(event))
    return found


def _typed(schema: Schema, name: str) -> Schema:
    return {"allOf": [schema, {"properties": {"type": {"const": name}}, "required": ["type"]}]}
