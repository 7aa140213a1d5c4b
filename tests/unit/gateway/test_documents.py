"""The published documents: whole, self-consistent, and true of the routes."""

import json

import jsonschema
import pytest
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
                url = path.replace("{id}", game).replace("{code}", "rate_limited")
                bad = {"authorization": "Bearer nonsense"}
                if method == "post":
                    large = b"[" + b" " * 70_000
                    wrong = await gateway.http.post(url, headers=ann, content=large)
                    assert str(wrong.status_code) in operation["responses"], (path, wrong.text)
                unknown = await gateway.http.request(method, url, headers=bad)
                assert str(unknown.status_code) in operation["responses"], (path, unknown.text)
                answer = await gateway.http.request(method, url, headers=ann)
                case = (method, path, answer.status_code)
                assert str(answer.status_code) in operation["responses"], case
                if answer.status_code == 404:  # the route is there: another game's command
                    assert answer.json()["code"] == "unknown_command", case
                assert answer.status_code not in (405, 500), case


async def test_every_route_is_documented():
    """What the gateway answers besides its pages and documents is in OpenAPI."""
    async with running() as gateway:
        document = (await gateway.http.get("/openapi.json")).json()
        served = {route.path for route in gateway.app._starlette.routes}
        pages = {"/", "/docs", "/openapi.json", "/asyncapi.json", "/web"}
        assert served - pages <= document["paths"].keys()


def test_what_only_games_may_send_is_not_offered():
    """The body of a creation has none of the fields that a client's creation is refused for."""
    http, _ = documents()
    content = http["paths"]["/games"]["post"]["requestBody"]["content"]["application/json"]
    fields = {name for schema in content["schema"]["anyOf"] for name in schema["properties"]}
    assert {"kind", "variant", "fen", "opponent", "clock"} <= fields
    assert not fields & {"white", "black", "rematch_of", "game", "id", "type"}


def strict(node):
    """Return a schema that takes nothing beyond what it names."""
    if isinstance(node, list):
        return [strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {k: strict(v) for k, v in node.items()}
    return node | {"additionalProperties": False} if "properties" in node else node


async def test_games_of_every_kind_look_as_documented():
    """New, played and ended, plain and with all that can be asked for: nothing more, nothing less."""
    clock = {"initial": 60, "increment": 1}
    moves = {
        "chess": [("moves", {"uci": "e2e4"}), ("moves", {"uci": "e7e5"}), ("draw", {})],
        "nim": [("take", {"count": 3}), ("take", {"count": 2})],
    }
    bodies = {
        "chess": [{"color": "white", "clock": clock}, {"color": "white"}],
        "nim": [{"pile": 5}],
    }
    async with running() as gateway:
        document = strict((await gateway.http.get("/openapi.json")).json())
        game = {"$ref": "#/components/schemas/Game", "components": document["components"]}
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        for kind, body in [(k, b) for k, some in bodies.items() for b in some]:
            made = await gateway.http.post("/games", json={"kind": kind} | body, headers=ann)
            path = f"/games/{made.json()['id']}"
            looks = [made, await gateway.http.post(f"{path}/join", headers=bob)]
            for turn, (command, sent) in enumerate(moves[kind]):
                who = (ann, bob)[turn % 2]
                done = await gateway.http.post(f"{path}/{command}", json=sent, headers=who)
                assert done.status_code == 200, done.text
                looks.append(await gateway.http.get(path))
            if kind == "chess":
                await gateway.http.post(f"{path}/resign", headers=bob)
                looks.append(await gateway.http.get(f"{path}?san=1"))
                legal = await gateway.http.post(f"{path}/validate", json={"uci": "g1f3"})
                shape = document["paths"]["/games/{id}/validate"]["post"]["responses"]["200"]
                schema = shape["content"]["application/json"]["schema"]
                jsonschema.validate(legal.json(), game | schema)
            assert looks[-1].json()["status"] == "ended"
            for look in looks:
                jsonschema.validate(look.json(), game)
                with pytest.raises(jsonschema.ValidationError):
                    jsonschema.validate(look.json() | {"more": 1}, game)


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
