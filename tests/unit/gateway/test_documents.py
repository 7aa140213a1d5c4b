"""The published documents: whole, self-consistent, and true of the routes."""

import json

import jsonschema
from gateway_of_tests import running

from gateway.asyncapi import asyncapi
from gateway.catalog import Catalog
from gateway.openapi import openapi
from runtime.behaviours import load

OPERATION = {
    "type": "object",
    "required": ["operationId", "summary", "responses"],
    "properties": {
        "summary": {"type": "string", "minLength": 3},
        "responses": {
            "type": "object",
            "minProperties": 1,
            "patternProperties": {"^[1-5][0-9][0-9]$": {"required": ["description"]}},
            "additionalProperties": False,
        },
        "parameters": {"items": {"required": ["name", "in", "schema"]}},
    },
}


def references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from references(item)


def resolve(document, reference):
    for step in reference.removeprefix("#/").split("/"):
        document = document[step.replace("~1", "/").replace("~0", "~")]
    return document


def documents():
    catalog = Catalog(load(), "chess")
    return json.loads(openapi(catalog)), json.loads(asyncapi(catalog))


def test_the_documents_are_whole():
    """Every reference leads somewhere, every schema is one, and operation ids are unique."""
    http, ws = documents()
    for document in (http, ws):
        for reference in references(document):
            assert resolve(document, reference) is not None
        for schema in document["components"]["schemas"].values():
            jsonschema.Draft202012Validator.check_schema(schema)
    assert (http["openapi"], ws["asyncapi"]) == ("3.1.0", "3.0.0")
    ids = []
    for methods in http["paths"].values():
        for operation in methods.values():
            jsonschema.validate(operation, OPERATION)
            ids.append(operation["operationId"])
    assert len(ids) == len(set(ids))
    for operation in ws["operations"].values():
        assert operation["action"] in ("send", "receive")
        channel = operation["channel"]["$ref"]
        assert all(m["$ref"].startswith(channel + "/messages/") for m in operation["messages"])


def test_every_command_query_and_event_of_every_game_is_told_of():
    """Registering a game is all that's needed to be in the documents."""
    http, ws = documents()
    said = {m["name"] for m in ws["components"]["messages"].values()}
    for behaviour in load().values():
        for name in behaviour.commands.keys() - {"create"}:
            assert f"/games/{{id}}/{behaviour.paths.get(name, name)}" in http["paths"]
            assert name in said
        for name in behaviour.queries.keys() - {"state"}:
            assert f"/games/{{id}}/{name}" in http["paths"]
        assert {event.__name__ for event in behaviour.events} <= said


async def test_the_documents_are_true_of_the_routes():
    """Every documented path answers its method with a documented status, also when it's misused."""
    async with running() as gateway:
        document = (await gateway.http.get("/openapi.json")).json()
        ann = await gateway.player("Ann")
        game = await gateway.game(ann)
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                url = path.replace("{id}", game)
                answer = await gateway.http.request(method, url, headers=ann)
                case = (method, path, answer.status_code)
                assert str(answer.status_code) in operation["responses"], case
                if answer.status_code == 404:  # the route is there: another game's command
                    assert answer.json()["code"] == "unknown_command", case
                assert answer.status_code not in (405, 500), case


async def test_the_answers_are_of_the_documented_shapes():
    """A game, an event and the list of events validate against what is promised."""
    async with running() as gateway:
        document = (await gateway.http.get("/openapi.json")).json()
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        game = await gateway.game(ann, bob)
        moved = await gateway.http.post(f"/games/{game}/moves", json={"uci": "e2e4"}, headers=ann)
        read = await gateway.http.get(f"/games/{game}")
        events = await gateway.http.get(f"/games/{game}/events")
        for answer, path, method in (
            (moved, "/games/{id}/moves", "post"),
            (read, "/games/{id}", "get"),
            (events, "/games/{id}/events", "get"),
        ):
            content = document["paths"][path][method]["responses"]["200"]["content"]
            schema = content["application/json"]["schema"]
            jsonschema.validate(answer.json(), schema | {"components": document["components"]})
