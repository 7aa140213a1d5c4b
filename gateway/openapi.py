"""OpenAPI 3.1 of the HTTP API, made from the installed games."""

from __future__ import annotations

from http import HTTPStatus
from importlib.metadata import version
from typing import Any, get_args

import msgspec

from gateway.catalog import Catalog
from gateway.http_games import EventsQuery
from gateway.pages import NewToken
from gateway.schemas import Schema, Schemas, first_line, merged
from runtime.operations import Progress, Verb

_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_GAME = {"$ref": "#/components/schemas/Game"}
_ID: Schema = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A repeat under the same key acts once and gets the first answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128},
}
_READ: Schema = {"security": [{}, {"token": []}]}
"""Reading needs no token; a bad one is refused all the same."""
_BODY = (400, 408, 413)
"""What may be wrong with a body."""
_ABOUT = (
    "Live games, every one an actor: an answered command is in the log. Errors are"
    " application/problem+json with a stable `code`."
)


def openapi(catalog: Catalog) -> bytes:
    """Return the document as JSON."""
    schemas = Schemas(catalog, *get_args(Verb), Progress)
    paths = {**_tokens(), **_games(catalog, schemas), **_health(), **_operations(schemas)}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "gameshard", "version": version("gameshard"), "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "operator": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The operators' token, made from the cluster's secret.",
                },
            },
        },
    }
    return msgspec.json.encode(document)


def _content(schema: Schema, media: str = "application/json") -> Schema:
    return {media: {"schema": schema}}


def _answers(status: int, text: str, schema: Schema | None, *errors: int) -> Schema:
    answers: dict[str, Any] = {str(status): {"description": text}}
    if schema is not None:
        answers[str(status)]["content"] = _content(schema)
    for error in sorted({*errors, 429, 503}):
        answers[str(error)] = {
            "description": HTTPStatus(error).phrase,
            "content": _content(_PROBLEM, "application/problem+json"),
        }
    return answers


def _operation(name: str, summary: str, answers: Schema, **more: Any) -> Schema:
    return {"operationId": name, "summary": summary, "responses": answers, **more}


def _parameters(query: type) -> list[Schema]:
    """Return the query parameters that a struct's fields are."""
    (_,), components = msgspec.json.schema_components([query])
    fields = components[query.__name__].get("properties", {})
    return [{"name": name, "in": "query", "schema": schema} for name, schema in fields.items()]


def _games(catalog: Catalog, schemas: Schemas) -> Schema:
    kinds = list(catalog.kinds.values())
    statuses = sorted({s for kind in kinds for s in kind.behaviour.rejections.values()})
    creates = [schemas.body(kind.behaviour.commands["create"]) for kind in kinds]
    created = _answers(201, "The game; Location says where.", _GAME, *_BODY, 401, *statuses)
    paths: Schema = {
        "/games": {
            "post": _operation(
                "create",
                "Make a game and take a seat",
                created,
                parameters=[_KEY],
                requestBody={"content": _content(merged(creates))},
                security=[{"token": []}],
            )
        },
        "/games/{id}": {"get": _state(catalog)},
        "/games/{id}/events": {"get": _events(catalog, schemas)},
    }
    for ending, media in catalog.exports.items():
        answers = _answers(200, "The whole game.", None, 400, 401, 404)
        answers["200"]["content"] = _content({"type": "string"}, media)
        operation = _operation(f"export-{ending}", f"The game as {ending}", answers, **_READ)
        paths[f"/games/{{id}}.{ending}"] = {"get": {**operation, "parameters": [_ID]}}
    for segment, name in catalog.actions.items():
        paths[f"/games/{{id}}/{segment}"] = {"post": _action(catalog, schemas, name, statuses)}
    for name in sorted(catalog.queries):
        paths[f"/games/{{id}}/{name}"] = {"post": _query(catalog, schemas, name)}
    return paths


def _state(catalog: Catalog) -> Schema:
    parameters = [
        p
        for kind, name, query in catalog.asked()
        if name == "state"
        for p in _parameters(query)
        if kind
    ]
    answers = _answers(200, "The game; its ETag is its seq.", _GAME, 400, 401, 404)
    answers["304"] = {"description": "Nothing has happened since If-None-Match."}
    return _operation("state", "The game as it is", answers, **_READ, parameters=[_ID, *parameters])


def _events(catalog: Catalog, schemas: Schemas) -> Schema:
    events = [schemas.ref(e) for kind in catalog.kinds.values() for e in kind.behaviour.events]
    body: Schema = {
        "type": "object",
        "properties": {
            "seq": {"type": "integer", "description": "Of the last event there is."},
            "events": {"type": "array", "items": merged(events)},
        },
        "required": ["seq", "events"],
    }
    return _operation(
        "events",
        "What has happened after a seq; waits for it if asked to",
        _answers(200, "The events, in order.", body, 400, 401, 404),
        **_READ,
        parameters=[_ID, *_parameters(EventsQuery)],
    )


def _action(catalog: Catalog, schemas: Schemas, name: str, statuses: list[int]) -> Schema:
    found = [(kind, command) for kind, known, _, command in catalog.commands() if known == name]
    events = [schemas.ref(e) for kind, _ in found for e in kind.behaviour.events]
    answer = _GAME if name in catalog.answers_game else merged(events)
    text = "The game." if name in catalog.answers_game else "The event that it led to."
    return _operation(
        name,
        first_line(found[0][1]),
        _answers(200, text, answer, *_BODY, 401, 404, *statuses),
        parameters=[_ID, _KEY],
        requestBody={"content": _content(merged([schemas.body(c) for _, c in found]))},
        security=[{"token": []}],
    )


def _query(catalog: Catalog, schemas: Schemas, name: str) -> Schema:
    found = [(kind, query) for kind, known, query in catalog.asked() if known == name]
    answer = merged([schemas.ref(kind.behaviour.answers[name]) for kind, _ in found])
    return _operation(
        name,
        first_line(found[0][1]),
        _answers(200, "The answer.", answer, *_BODY, 401, 404),
        **_READ,
        parameters=[_ID],
        requestBody={"content": _content(merged([schemas.ref(q) for _, q in found]))},
    )


def _tokens() -> Schema:
    token: Schema = {
        "type": "object",
        "properties": {
            "token": {"type": "string"},
            "user": {"$ref": "#/components/schemas/Player"},
            "expires_at": {"type": "string", "format": "date-time"},
        },
    }
    name: Schema = {"type": "string", "minLength": 1, "maxLength": 32}
    body: Schema = {
        "type": "object",
        "properties": {"name": {**name, "default": NewToken().name}},
        "additionalProperties": False,
    }
    operation = _operation(
        "token",
        "Take a guest's token",
        _answers(201, "The token.", token, *_BODY, 403),
        requestBody={"content": _content(body)},
    )
    return {"/tokens": {"post": operation}, "/users/{id}/games": {"get": _played()}}


def _played() -> Schema:
    game: Schema = {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "kind": {"type": "string"},
            "ended_at": {"type": "string", "format": "date-time"},
            "moves": {"type": "integer"},
        },
    }
    body: Schema = {
        "type": "object",
        "properties": {
            "games": {"type": "array", "items": game},
            "next": {
                "type": ["string", "null"],
                "description": "`before` of the next page, as it is; null: this was the last.",
            },
        },
    }
    parameters: list[Schema] = [
        {"name": "before", "in": "query", "schema": {"type": "string"}},
        {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 200}},
    ]
    return _operation(
        "played",
        "A user's ended games, newest first",
        _answers(200, "The games.", body, 400, 401),
        **_READ,
        parameters=[_ID, *parameters],
    )


def _health() -> Schema:
    answers = _answers(200, "All is well.", {"type": "object"})
    paths: Schema = {
        f"/{name}": {"get": _operation(name, text, answers)}
        for name, text in (
            ("healthz", "Whether this gateway lives"),
            ("readyz", "Whether it can serve games"),
            ("shards", "Who owns what, and how they are"),
        )
    }
    counts = _answers(200, "In the text format of Prometheus.", None)
    counts["200"]["content"] = _content({"type": "string"}, "text/plain")
    paths["/metrics"] = {"get": _operation("metrics", "What this gateway has counted", counts)}
    problem = _answers(200, "Its status and title.", _PROBLEM, 404)
    code = {"name": "code", "in": "path", "required": True, "schema": {"type": "string"}}
    paths["/problems/{code}"] = {
        "get": _operation("problem", "What a `code` of errors means", problem, parameters=[code])
    }
    return paths


def _operations(schemas: Schemas) -> Schema:
    verbs = merged([schemas.ref(verb) for verb in get_args(Verb)])
    operation = _operation(
        "operate",
        "Begin an operation; GET /shards shows how it goes",
        _answers(202, "It has begun.", schemas.ref(Progress), 401, 408, 409, 413),
        requestBody={"required": True, "content": _content(verbs)},
        security=[{"operator": []}],
    )
    return {"/operations": {"post": operation}}
