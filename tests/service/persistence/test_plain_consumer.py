"""Who knows nothing of ours reads the topic: a plain program, and Kafka's own console consumer."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from actors.published.__main__ import collected
from persistence.kafka.brokers import Brokers
from persistence.kafka.outcomes import Acked
from persistence.kafka.records import Encoder
from persistence.kafka.registry import Registry
from persistence.local import java
from persistence.log import Record
from persistence.ownership.row import PartitionOpened

HERE = Path(__file__).parent
HISTORIES = HERE.parents[1] / "unit" / "actors" / "data" / "complete_v1.jsonl"
HOUR_MS = 3_600_000
GAMES = {
    f"game-{place}": [event | {"game": f"game-{place}"} for event in json.loads(line)["events"]]
    for place, line in enumerate(HISTORIES.read_text().splitlines())
}
"""The recorded games, each under an id of its own."""


@asynccontextmanager
async def written(kafka, topic, schemas):
    """Every game in its turn on one of two partitions, each behind a claim; one batch comes twice."""
    brokers = await Brokers.connect(kafka.address, topic, encoder=Encoder(schemas=schemas))
    try:
        await brokers.ensure_topic(2, 1, HOUR_MS, 1)
        for partition in (0, 1):
            producer, sequence = await brokers.init_producer(partition), 0
            batches = [[PartitionOpened(1, 1, producer.id, 5, 6)]]
            batches += [records(game) for game in list(GAMES)[partition::2]]
            for batch in [*batches, batches[1]]:
                told = await brokers.produce(partition, producer, sequence, batch, 1)
                assert isinstance(told, Acked)
                sequence += len(batch)
        yield
    finally:
        await brokers.close()


def records(game):
    return [Record(game, event["seq"], json.dumps(event).encode(), b"m") for event in GAMES[game]]


async def ids(registry, topic):
    schemas = collected(["actors.chess", "persistence.kafka.records"])
    return await Registry(registry.url).register(topic, schemas)


def plain(*arguments):
    command = [sys.executable, HERE / "plain_consumer.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


@pytest.mark.parametrize("registered", [True, False])
async def test_a_plain_program_reads_every_game(kafka, registry, registered):
    """With nothing but the names of topic and registry it has each event once, valid and in order."""
    topic = f"t{uuid4().hex[:12]}"
    schemas = await ids(registry, topic) if registered else {}
    async with written(kafka, topic, schemas):
        done = plain(kafka.address, topic, *([registry.url] if registered else []))
    assert done.returncode == 0, done.stderr
    found = {}
    for line in map(json.loads, done.stdout.splitlines()):
        assert line["type"] == f"gameshard.{line['event']['type']}.v1"
        found.setdefault(line["game"], []).append(line["event"])
    assert found == GAMES


async def test_a_plain_program_sees_what_breaks_its_schema(kafka, registry):
    """A record under a schema that it doesn't fit is no event to it, but an error."""
    topic = f"t{uuid4().hex[:12]}"
    schemas = await ids(registry, topic)
    async with written(kafka, topic, schemas | {"MovePlayed": schemas["GameEnded"]}):
        done = plain(kafka.address, topic, registry.url)
    assert done.returncode != 0
    assert "ValidationError" in done.stderr


SHOWN = re.compile(
    rb"(?P<headers>[^\t]*)\t(?P<key>[^\t]*)\t(?P<framing>(?:\0.{4})?)(?P<json>\{[^\n]*\})\n",
    re.DOTALL,
)
COUNT = 2 + sum(map(len, GAMES.values())) + len(GAMES["game-0"]) + len(GAMES["game-1"])


def console(kafka, topic):
    """Return what the console consumer prints of as many records as were written."""
    tool = ["org.apache.kafka.tools.consumer.ConsoleConsumer", "--from-beginning"]
    tool += ["--bootstrap-server", kafka.address, "--topic", topic, "--max-messages", str(COUNT)]
    for name in ("key", "headers"):
        tool += ["--formatter-property", f"print.{name}=true"]
    command = [java.java().path, "-Xmx128m", "-cp", str(java.jars("kafka") / "*"), *tool]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("registered", [True, False])
async def test_kafkas_console_shows_the_records(kafka, registry, registered):
    """It prints keys, headers and JSON; the wire format is five bytes before the JSON."""
    topic = f"t{uuid4().hex[:12]}"
    schemas = await ids(registry, topic) if registered else {}
    async with written(kafka, topic, schemas):
        printed = console(kafka, topic)
    matches = list(SHOWN.finditer(printed))
    assert (len(matches), sum(len(match[0]) for match in matches)) == (COUNT, len(printed))
    found = {}
    for match in matches:
        assert bool(match["framing"]) is registered
        assert b"ce_specversion:1.0" in match["headers"]
        game = found.setdefault(match["key"].decode(), {})
        game[match["headers"]] = json.loads(match["json"])
    claims = found.pop("partition-opened")
    assert {claim["type"] for claim in claims.values()} == {"PartitionOpened"}
    assert {game: list(events.values()) for game, events in found.items()} == GAMES
