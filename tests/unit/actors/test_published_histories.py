"""Histories of version 1, recorded whole: today's code tells them as they were told then."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import msgspec
import pytest
from chess_table import decoder, replayed
from msgspec import Struct

import actors.chess as behaviour
from actors.behaviour import Event, event_decoder
from actors.chess.commands import GetGame
from actors.chess.events import EVENTS

DATA = Path(__file__).parent / "data"
RELEASED = Path(__file__).parents[3] / "schemas" / "released" / "v1"


def lines(*names: str) -> list[dict[str, Any]]:
    return [json.loads(line) for name in names for line in (DATA / name).read_text().splitlines()]


def seen(now: Any, then: Any) -> Any:
    """Return `now` without what nobody had heard of `then`: fields may join, and none may change."""
    if isinstance(now, dict) and isinstance(then, dict):
        return {name: seen(value, then[name]) for name, value in now.items() if name in then}
    return now


def told(events: list[dict[str, Any]]) -> Any:
    state = replayed([json.dumps(event).encode() for event in events])
    return json.loads(msgspec.json.encode(behaviour.view(state, GetGame(san=True), None)))


complete = pytest.mark.parametrize(
    "line", lines("complete_v1.jsonl"), ids=lambda line: line["name"]
)


@complete
def test_a_recorded_game_ends_as_it_ended(line):
    """Its records, replayed, give the view that was recorded: board, clocks, winner, notation."""
    assert seen(told(line["events"]), line["view"]) == line["view"]
    assert line["view"]["status"] == "ended"


@complete
def test_a_snapshot_in_the_middle_changes_nothing(line):
    """Half of the records, packed, unpacked, and the other half on top give the same."""
    half = len(line["events"]) // 2
    records = [json.dumps(event).encode() for event in line["events"]]
    state = behaviour.unpack(behaviour.pack(replayed(records[:half])))
    for record in records[half:]:
        state = behaviour.evolve(state, decoder.decode(record))
    assert behaviour.pack(state) == behaviour.pack(replayed(records))


@complete
def test_fields_of_tomorrow_are_passed_over(line):
    """While releases change, an old reader meets records with a field more: it reads the rest."""
    events = [event | {"heard_of": {"never": 1}} for event in line["events"]]
    assert seen(told(events), line["view"]) == line["view"]


def test_the_recorded_games_hold_every_event():
    """No event of chess is missing from the histories that have to stay readable."""
    found = {event["type"] for line in lines("complete_v1.jsonl") for event in line["events"]}
    assert found == {event.__struct_config__.tag for event in EVENTS}


def test_what_was_recorded_fits_what_was_released():
    """Every recorded event is valid under the first released schema of its type."""
    valid = {
        path.name.split(".")[0]: jsonschema.Draft7Validator(json.loads(path.read_text()))
        for path in RELEASED.glob("*.1.json")
    }
    for line in lines("complete_v1.jsonl", "histories.jsonl"):
        for event in line["events"]:
            valid[event["type"]].validate(event)


class Thrown(Event, tag="Thrown"):
    metres: int


class Thrown2(Event, tag="Thrown.v2"):
    millimetres: int


class Field(Struct):
    millimetres: int = 0


def evolve(state: Field | None, event: Any) -> Field:
    if isinstance(event, Thrown):
        event = Thrown2(millimetres=event.metres * 1000)
    return Field((state or Field()).millimetres + event.millimetres)


def test_two_versions_are_read_side_by_side():
    """As docs/EVENTS.md has it: both Structs stand in `events`, and evolve makes the new of the old."""
    game: Any = SimpleNamespace(events=(Thrown, Thrown2))
    old, new = b'{"type":"Thrown","metres":2}', b'{"type":"Thrown.v2","millimetres":7}'
    state = None
    for record in (old, new):
        state = evolve(state, event_decoder(game).decode(record))
    assert state == Field(2007)
