"""A schema registry's client, against a registry that says what the test wants."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from persistence.kafka.registry import IncompatibleSchema, Registry, Schema, SchemaRefused
from persistence.log import Unavailable

TAKEN = ("Taken", 1, b'{"title": "gameshard.Taken.v1"}')
SUBJECT = "log-gameshard.Taken.v1"
LOOKUP = ("POST", f"/subjects/{SUBJECT}")
VERSIONS = ("POST", f"/subjects/{SUBJECT}/versions")
LEVEL = ("GET", f"/config/{SUBJECT}")
SET_LEVEL = ("PUT", f"/config/{SUBJECT}")
UNKNOWN = (404, {"error_code": 40401, "message": "no such subject"})
NEW = {LOOKUP: [UNKNOWN], LEVEL: [UNKNOWN], SET_LEVEL: [(200, {})], VERSIONS: [(200, {"id": 7})]}


class Scripted:
    """Answers each request with the next of its answers, the last one for good."""

    def __init__(self) -> None:
        self.answers = {}
        self.asked = []
        self.bodies = {}
        self.headers = {}
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        request = (handler.command, handler.path)
        self.asked.append(request)
        self.headers = dict(handler.headers)
        length = int(handler.headers.get("Content-Length", 0))
        self.bodies[request] = json.loads(handler.rfile.read(length) or b"null")
        answers = self.answers[request]
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)


@contextmanager
def serving(scripted):
    def answer(handler):
        scripted.answer(handler)

    words = {f"do_{method}": answer for method in ("GET", "POST", "PUT")}
    words |= {"protocol_version": "HTTP/1.1", "log_message": lambda *_: None}
    handler = type("Handler", (BaseHTTPRequestHandler,), words)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        scripted.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield scripted
        server.shutdown()
        thread.join()


@pytest.fixture
def scripted():
    with serving(Scripted()) as served:
        yield served


async def test_a_new_schema_is_guarded_and_registered(scripted):
    """A subject that isn't there is given BACKWARD first, then its schema, as JSON Schema."""
    scripted.answers = NEW
    assert await Registry(scripted.url).register("log", [TAKEN]) == {"Taken": 7}
    assert scripted.asked == [LOOKUP, LEVEL, SET_LEVEL, VERSIONS]
    assert scripted.bodies[SET_LEVEL] == {"compatibility": "BACKWARD"}
    assert scripted.bodies[VERSIONS] == {"schemaType": "JSON", "schema": TAKEN[2].decode()}


async def test_a_known_schema_is_only_looked_up(scripted):
    """What is registered needs no right to register, and nothing is changed."""
    scripted.answers = {LOOKUP: [(200, {"id": 3, "version": 1})]}
    assert await Registry(scripted.url).register("log", [TAKEN]) == {"Taken": 3}
    assert scripted.asked == [LOOKUP]


async def test_an_operators_compatibility_stands(scripted):
    """A level that the subject has of its own isn't set anew."""
    scripted.answers = {**NEW, LEVEL: [(200, {"compatibilityLevel": "FULL_TRANSITIVE"})]}
    await Registry(scripted.url).register("log", [TAKEN])
    assert scripted.asked == [LOOKUP, LEVEL, VERSIONS]


async def test_who_came_second_with_the_compatibility_goes_on(scripted):
    """A conflict over the level, with somebody who sets it at the same time, is none."""
    scripted.answers = {**NEW, SET_LEVEL: [(409, {"message": "already exists"})]}
    assert await Registry(scripted.url).register("log", [TAKEN]) == {"Taken": 7}


async def test_a_later_version_is_a_subject_of_its_own(scripted):
    """Version 2 of an event is registered beside version 1, under the type that its JSON tells."""
    scripted.answers = {("POST", "/subjects/log-gameshard.Taken.v2"): [(200, {"id": 9})]}
    assert await Registry(scripted.url).register("log", [Schema("Taken", 2, b"{}")]) == {
        "Taken.v2": 9
    }


async def test_an_incompatible_schema_is_refused_by_name(scripted):
    """Nothing is tried again, and the error holds the subject and the registry's reason."""
    scripted.answers = {**NEW, VERSIONS: [(409, {"error_code": 409, "message": "count narrowed"})]}
    with pytest.raises(IncompatibleSchema) as refused:
        await Registry(scripted.url).register("log", [TAKEN])
    assert (refused.value.subject, refused.value.reason) == (SUBJECT, "count narrowed")
    assert scripted.asked.count(VERSIONS) == 1


async def test_who_came_second_with_the_same_has_its_id(scripted):
    """A conflict with somebody who registered the same schema meanwhile is none."""
    scripted.answers = {**NEW, LOOKUP: [UNKNOWN, (200, {"id": 5})], VERSIONS: [(409, {})]}
    assert await Registry(scripted.url).register("log", [TAKEN]) == {"Taken": 5}


@pytest.mark.parametrize("status", [401, 403, 422])
async def test_what_would_be_refused_again_is_an_error_at_once(scripted, status):
    """Wrong credentials or a schema that isn't one: another try won't help."""
    scripted.answers = {LOOKUP: [(status, b"<html>no</html>")]}
    with pytest.raises(SchemaRefused) as refused:
        await Registry(scripted.url).register("log", [TAKEN])
    assert (refused.value.status, refused.value.reason) == (status, "<html>no</html>")
    assert not isinstance(refused.value, IncompatibleSchema)
    assert scripted.asked == [LOOKUP]


@pytest.mark.parametrize("trouble", [(503, {"message": "starting"}), (429, b""), (200, b"hello")])
async def test_a_registry_in_trouble_is_waited_for(scripted, trouble):
    """While it answers with its own trouble it's asked again, and then it has the id."""
    scripted.answers = {LOOKUP: [trouble, trouble, (200, {"id": 3})]}
    assert await Registry(scripted.url).register("log", [TAKEN]) == {"Taken": 3}
    assert scripted.asked == [LOOKUP] * 3


async def test_trouble_that_stays_is_told(scripted):
    """After its time the error is the log's `Unavailable`, with the registry's last word."""
    scripted.answers = {LOOKUP: [(500, {"message": "no disk"})]}
    with pytest.raises(Unavailable, match="no disk"):
        await Registry(scripted.url).register("log", [TAKEN], seconds=0.2)


async def test_nobody_there_is_told():
    """A port at which nobody listens is `Unavailable`, too."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        registry = Registry(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(Unavailable, match="ConnectionRefusedError"):
            await registry.register("log", [TAKEN], seconds=0.2)


async def test_paths_and_credentials_are_the_urls(scripted):
    """The registry may lie under a path and ask for a name and a password, which no error tells."""
    scripted.answers = {("POST", f"/apis/v7/subjects/{SUBJECT}"): [(401, {"message": "who?"})]}
    registry = Registry(f"http://ann:s%3Acret@127.0.0.1:{scripted.port}/apis/v7/")
    with pytest.raises(SchemaRefused) as refused:
        await registry.register("log", [TAKEN])
    assert scripted.headers["Authorization"] == "Basic YW5uOnM6Y3JldA=="
    assert "cret" not in str(refused.value)


@pytest.mark.parametrize("url", ["", "registry:8081", "ftp://registry", "http://"])
def test_other_urls_are_refused(url):
    """What isn't an http or https URL is refused when it's read, not when it's used."""
    with pytest.raises(ValueError, match="http or https"):
        Registry(url)
