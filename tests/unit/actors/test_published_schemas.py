"""Published schemas: what is committed, what the Structs give, and what games really write."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import msgspec
import nim_game
import pytest
from chess_scripts import played
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from actors.behaviour import Event
from actors.chess.events import EVENTS
from actors.published.__main__ import collected, main, read
from actors.published.release import refusals, stale, to_release, todays
from actors.published.schema import Ambiguous, Published, published
from persistence.kafka.records import record_name

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "schemas"
PAGE = ROOT / "docs" / "EVENTS.md"
MODULES = ["actors.chess", "persistence.kafka.records"]
VALID = {
    one.event: jsonschema.Draft7Validator(json.loads(one.text))
    for one in published([*EVENTS, *nim_game.events])
}


def test_the_committed_schemas_are_those_of_the_structs():
    """Whoever changes an event runs `make schemas` and commits what it writes."""
    assert stale(collected(MODULES), read(FOLDER)) == []


def test_all_that_was_released_stays_readable():
    """No change of a Struct, schemas made anew or not, makes a released event unreadable."""
    files = read(FOLDER)
    assert refusals(collected(MODULES), files) == []
    assert any(path.startswith("released/") for path in files)


def test_a_released_schema_is_never_touched():
    """Since it was committed, no released file was changed or removed."""
    command = ["git", "log", "--diff-filter=MDRT", "--format=%h", "--", "schemas/released"]
    try:
        log = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this copy has no git history")
    assert log.stdout == ""
    command = ["git", "status", "--porcelain", "--", "schemas/released"]
    status = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert [line for line in status.stdout.splitlines() if line[:2].strip("A?")] == []


def test_schemas_are_made_the_same_in_every_process():
    """Another process, with another seed of `hash`, gives the same bytes."""
    code = (
        "import sys; from actors.published.__main__ import collected;"
        f"sys.stdout.write(repr(collected({MODULES})))"
    )
    for seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert run.stdout == repr(collected(MODULES))


@pytest.mark.parametrize("one", collected(MODULES), ids=lambda one: one.record)
def test_a_schema_says_what_it_is(one):
    """It's valid draft 7, and its id and title are the name that Kafka's records carry."""
    schema = json.loads(one.text)
    jsonschema.Draft7Validator.check_schema(schema)
    kind = schema["properties"]["type"]["enum"][0]
    assert schema["$id"] == schema["title"] == one.record == record_name(kind)
    assert schema["description"]
    assert schema["additionalProperties"] is False


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), steps=st.integers(0, 80))
def test_what_chess_writes_is_valid(seed, steps):
    """Every record of a game fits the schema of its type, and has no field that isn't in it."""
    for record in played(seed, steps).records:
        event = json.loads(record)
        VALID[event["type"]].validate(event)


def test_another_packages_game_is_published_unchanged():
    """Nim's events have schemas by themselves, and what it writes fits them."""
    taken = nim_game.Taken(game="g", seq=3, player="ann", count=2, left=19)
    VALID["Taken"].validate(json.loads(msgspec.json.encode(taken)))
    for wrong in ({"count": "2"}, {"seq": 0}, {"pile": 4}):
        with pytest.raises(jsonschema.ValidationError):
            VALID["Taken"].validate(json.loads(msgspec.json.encode(taken)) | wrong)


class Stone(Struct):
    weight: int = 1


class Thrown(Event, tag="Thrown"):
    stone: Stone


class Thrown2(Event, tag="Thrown.v2"):
    stones: list[Stone]


def test_versions_are_told_by_the_tag():
    """`Thrown.v2` is version 2 of Thrown, beside version 1."""
    first, second = published([Thrown, Thrown2])
    assert (first.event, first.version, first.record) == ("Thrown", 1, "gameshard.Thrown.v1")
    assert (second.event, second.version, second.record) == ("Thrown", 2, "gameshard.Thrown.v2")
    assert [record_name("Thrown"), record_name("Thrown.v2")] == [first.record, second.record]
    assert set(todays([first, second])) == {"v1/Thrown.json", "v2/Thrown.json"}


def test_what_is_inside_is_closed_too():
    """A Struct within an event names its fields, and no others are written."""
    stone = json.loads(published([Thrown])[0].text)["definitions"]["Stone"]
    assert stone["additionalProperties"] is False


def test_two_events_of_one_name_are_refused():
    """Two games can't both call an event Thrown: readers couldn't tell which it is."""

    class Other(Event, tag="Thrown"):
        far: bool

    with pytest.raises(Ambiguous) as refused:
        published([Thrown, Other])
    assert refused.value.record == "gameshard.Thrown.v1"


def _published(event: str, version: int = 1, **fields: object) -> Published:
    schema = {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in fields.items()},
        "required": list(fields),
        "additionalProperties": False,
    }
    return Published(event, version, json.dumps(schema).encode())


def test_a_release_adds_what_is_new_and_no_more():
    """A schema joins the released ones once per revision; one that is as it was, doesn't."""
    old, same = _published("Taken", count="integer"), _published("Won", by="string")
    files = to_release([old, same], {})
    assert set(files) == {"released/v1/Taken.1.json", "released/v1/Won.1.json"}
    assert to_release([old, same], files) == {}
    new = _published("Taken", count="number")
    added = to_release([new, same], files)
    assert added == {"released/v1/Taken.2.json": new.text}
    assert to_release([new, same], files | added) == {}


def test_the_tenth_revision_follows_the_ninth():
    """Revisions are counted, not sorted as words."""
    one = _published("Taken", count="integer")
    files = {f"released/v1/Taken.{n}.json": b"{}" for n in range(1, 11)}
    assert set(to_release([one], files)) == {"released/v1/Taken.11.json"}


def test_making_schemas_anew_makes_no_change_compatible():
    """What a released revision holds is still asked for when today's file agrees with the Struct."""
    old, new = _published("Taken", count="integer"), _published("Taken", count="string")
    files = {**to_release([old], {}), **todays([new])}
    assert stale([new], files) == []
    assert [r.path for r in refusals([new], files)] == ["released/v1/Taken.1.json"]


def test_every_released_revision_counts():
    """What only the first of two revisions could hold is still to be read."""
    files = {
        "released/v1/Taken.1.json": _published("Taken", count="number").text,
        "released/v1/Taken.2.json": _published("Taken", count="integer").text,
    }
    found = refusals([_published("Taken", count="integer")], files)
    assert [refusal.path for refusal in found] == ["released/v1/Taken.1.json"]


def test_a_released_event_cannot_go():
    """Also when there's a new version of it: logs hold the old one."""
    files = to_release([_published("Taken", count="integer")], {})
    found = refusals([_published("Taken", 2, count="string")], files)
    assert [refusal.path for refusal in found] == ["released/v1/Taken.1.json"]


def test_the_command_writes_nothing_that_loses_old_events(tmp_path, capsys):
    """It brings a folder up to date and removes what belongs to no event, or refuses and writes nothing."""
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "Gone.json").write_text("{}")
    assert main(["--release", str(tmp_path), "nim_game"]) == 0
    files = read(tmp_path)
    assert "v1/Gone.json" not in files
    assert {"v1/Taken.json", "released/v1/Taken.1.json"} <= set(files)
    capsys.readouterr()
    assert main(["--release", str(tmp_path), "nim_game"]) == 0
    assert capsys.readouterr().out == ""
    (tmp_path / "released" / "v1" / "Taken.2.json").write_bytes(
        files["v1/Taken.json"].replace(b'"integer"', b'"number"')
    )
    before = read(tmp_path)
    (tmp_path / "v1" / "Taken.json").unlink()
    assert main([str(tmp_path), "nim_game"]) == 1
    assert "released/v1/Taken.2.json" in capsys.readouterr().err
    assert set(before) - set(read(tmp_path)) == {"v1/Taken.json"}


def test_the_page_on_events_lists_every_field():
    """docs/EVENTS.md names each event with its own fields, in order; `?` where one may be left out."""
    told = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", PAGE.read_text(), re.MULTILINE))
    for one in collected(MODULES):
        schema = json.loads(one.text)
        stamped = {"type"} if one.event == "PartitionOpened" else {"type", "game", "seq", "at"}
        fields = [
            f"`{name}`" if name in schema["required"] else f"`{name}?`"
            for name in schema["properties"]
            if name not in stamped
        ]
        assert told.get(one.event) == ", ".join(fields)
