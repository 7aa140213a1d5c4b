"""The local schema registry: what it registers, refuses and keeps."""

import json
import os
import signal
import time
from http import HTTPStatus
from uuid import uuid4

import httpx
import pytest

TYPE = "application/vnd.schemaregistry.v1+json"


def schema(**properties: str) -> str:
    return json.dumps(
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "properties": {name: {"type": kind} for name, kind in properties.items()},
        }
    )


class Subject:
    """One subject, under compatibility BACKWARD."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._name = f"s{uuid4().hex[:12]}-value"
        body = {"compatibility": "BACKWARD"}
        self._client.put(f"/config/{self._name}", json=body).raise_for_status()

    def register(self, text: str) -> httpx.Response:
        body = {"schemaType": "JSON", "schema": text}
        return self._client.post(f"/subjects/{self._name}/versions", json=body)

    def versions(self) -> list[int]:
        return self._client.get(f"/subjects/{self._name}/versions").json()

    def by_id(self, number: int) -> dict:
        return json.loads(self._client.get(f"/schemas/ids/{number}").json()["schema"])


@pytest.fixture
def subject(registry):
    with httpx.Client(base_url=registry.url, headers={"Content-Type": TYPE}) as client:
        yield Subject(client)


def test_a_schema_is_registered_once(subject):
    """The same schema again has the same id, and by that id it's read back."""
    first = subject.register(schema(ply="integer")).json()
    assert subject.register(schema(ply="integer")).json() == first
    assert subject.versions() == [1]
    assert subject.by_id(first["id"]) == json.loads(schema(ply="integer"))


def test_a_change_that_readers_would_trip_over_is_refused(subject):
    """Under BACKWARD a field's new type is a conflict; nothing is registered."""
    assert subject.register(schema(ply="integer")).status_code == HTTPStatus.OK
    assert subject.register(schema(ply="string")).status_code == HTTPStatus.CONFLICT
    assert subject.versions() == [1]


def test_ids_survive_a_kill(registry, subject):
    """Started again on what a kill -9 left, it knows each schema by the id it told."""
    told = subject.register(schema(uci="string")).json()["id"]
    os.kill(registry.pid, signal.SIGKILL)
    while registry.running:
        time.sleep(0.01)
    registry.start()
    assert subject.by_id(told) == json.loads(schema(uci="string"))
    assert subject.register(schema(uci="string")).json()["id"] == told
