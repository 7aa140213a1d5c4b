"""Events' schemas in a real registry: registered once, refused where old events couldn't be read."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from actors.published.__main__ import collected, read
from persistence.kafka.records import record_name
from persistence.kafka.registry import IncompatibleSchema, Registry, Schema, SchemaRefused

FOLDER = Path(__file__).parents[3] / "schemas"
SCHEMAS = collected(["actors.chess", "persistence.kafka.records"])


@pytest.fixture
def topic():
    return f"t{uuid4().hex[:12]}"


def versions(registry, topic, schema):
    subject = f"{topic}-{record_name(Schema(*schema).type)}"
    return httpx.get(f"{registry.url}/subjects/{subject}/versions").json()


def by_id(registry, number):
    return json.loads(httpx.get(f"{registry.url}/schemas/ids/{number}").json()["schema"])


async def test_registering_twice_gives_the_same_ids(registry, topic):
    """Every event has an id of its own, by which the registry gives back its schema; the second time
    nothing is added."""
    ids = await Registry(registry.url).register(topic, SCHEMAS)
    assert set(ids) == {schema.event for schema in SCHEMAS}
    assert await Registry(registry.url).register(topic, SCHEMAS) == ids
    for schema in SCHEMAS:
        assert versions(registry, topic, schema) == [1]
        assert by_id(registry, ids[schema.event]) == json.loads(schema.text)


async def test_many_that_start_at_once_all_start(registry, topic):
    """Processes that register the same at the same time get ids that stand for it, each of them.

    Two of them may even get different ones: Apicurio doesn't keep such registrations apart.
    """
    schemas, client = SCHEMAS[:4], Registry(registry.url)
    told = await asyncio.gather(*(client.register(topic, schemas) for _ in range(6)))
    for schema in schemas:
        for number in {ids[schema.event] for ids in told}:
            assert by_id(registry, number) == json.loads(schema.text)


async def test_a_field_more_is_registered_and_the_old_id_stays(registry, topic):
    """An optional field is the subject's next revision; who still writes the old one gets its id."""
    old = Schema("Taken", 1, _taken({"count": {"type": "integer"}}))
    new = Schema("Taken", 1, _taken({"count": {"type": "integer"}, "by": {"type": "string"}}))
    client = Registry(registry.url)
    first, second = await client.register(topic, [old]), await client.register(topic, [new])
    assert first != second
    assert versions(registry, topic, new) == [1, 2]
    assert await client.register(topic, [old]) == first


async def test_the_registry_refuses_what_old_events_break(registry, topic):
    """A field of another type is refused by the registry itself, and nothing is registered."""
    old = Schema("Taken", 1, _taken({"count": {"type": "integer"}}))
    new = Schema("Taken", 1, _taken({"count": {"type": "string"}}))
    client = Registry(registry.url)
    await client.register(topic, [old])
    with pytest.raises(IncompatibleSchema) as refused:
        await client.register(topic, [new])
    assert refused.value.subject == f"{topic}-gameshard.Taken.v1"
    assert versions(registry, topic, new) == [1]


async def test_what_is_no_schema_is_refused(registry, topic):
    """JSON that is broken is the caller's fault, and no outage."""
    with pytest.raises(SchemaRefused) as refused:
        await Registry(registry.url).register(topic, [("Taken", 1, b"{nope")])
    assert not isinstance(refused.value, IncompatibleSchema)


async def test_what_was_released_leads_to_todays(registry, topic):
    """The registry takes every released revision in its turn, and today's schema after the last."""
    client, files = Registry(registry.url), read(FOLDER)
    for schema in SCHEMAS:
        prefix = f"released/v{schema.version}/{schema.event}."
        paths = sorted(
            (p for p in files if p.startswith(prefix)), key=lambda p: int(p.split(".")[1])
        )
        for text in [*(files[path] for path in paths), schema.text]:
            await client.register(topic, [(schema.event, schema.version, text)])


def _taken(fields):
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}
    return json.dumps({**schema, "properties": fields, "additionalProperties": False}).encode()
