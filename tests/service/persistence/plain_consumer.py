"""Reads a topic of game events to its end, and knows nothing of gameshard but docs/EVENTS.md.

    python plain_consumer.py KAFKA TOPIC [REGISTRY]

Prints a line of JSON for each event. It needs aiokafka and jsonschema; nothing here is imported
from the system that wrote the topic.
"""

import asyncio
import json
import sys
from functools import cache
from urllib.request import urlopen

import jsonschema
from aiokafka import AIOKafkaConsumer


@cache
def schema(registry, number):
    """Return a validator for the schema that the registry knows by this number."""
    with urlopen(f"{registry}/schemas/ids/{number}", timeout=10) as answer:
        return jsonschema.Draft7Validator(json.loads(json.load(answer)["schema"]))


def read(value, registry):
    """Return the event: JSON as it is, or behind a zero and four bytes with its schema's number."""
    if value[0] != 0:
        return json.loads(value)
    event = json.loads(value[5:])
    if registry:
        schema(registry, int.from_bytes(value[1:5], "big")).validate(event)
    return event


async def main(kafka, topic, registry=None):
    """Print every event once, in the order of its game."""
    last = {}  # game -> seq; who does something with events keeps it beside what it does
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka, auto_offset_reset="earliest")
    async with consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        while [place for place, end in ends.items() if await consumer.position(place) < end]:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    show(record, last, registry)


def show(record, last, registry):
    """Print the record, unless it's no event, or one that was there before."""
    headers = dict(record.headers)
    if "seq" not in headers:  # a claim: somebody else writes the partition from here on
        return
    game, seq = record.key.decode(), int(headers["seq"])
    if seq <= last.get(game, 0):
        return
    last[game] = seq
    kind = headers["ce_type"].decode()
    event = read(record.value, registry)
    sys.stdout.write(json.dumps({"type": kind, "game": game, "seq": seq, "event": event}) + "\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
