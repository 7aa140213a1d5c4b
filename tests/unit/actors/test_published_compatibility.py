"""What may change in a published event, and what may not: a rule each, and all of them at random."""

from __future__ import annotations

import copy
from random import Random
from typing import Annotated, Any, Literal

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct, defstruct
from schema_changes import changed, document, filled, value

from actors.behaviour import Event
from actors.published.compatibility import problems
from actors.published.schema import published


def schema(*fields: Any) -> dict[str, Any]:
    """Return the schema of an event with these fields, as it would be published."""
    event = defstruct("Done", fields, bases=(Event,), kw_only=True, tag="Done")
    return msgspec.json.decode(published([event])[0].text)


class Clock(Struct):
    initial: int


class ClockWithMore(Struct):
    initial: int
    increment: int = 0


class ClockWithLess(Struct):
    pass


class Chain(Struct):
    link: int
    next: Chain | None = None


class WeakerChain(Struct):
    link: str
    next: WeakerChain | None = None


SMALL = Annotated[int, Meta(ge=1, le=9)]
SQUARE = Annotated[str, Meta(pattern="^[a-h][1-8]$")]

COMPATIBLE = {
    "nothing": ([("count", int)], [("count", int)]),
    "a field with a default": ([], [("count", int, 3)]),
    "a field that is always there": ([("count", int)], [("count", int, 3)]),
    "another value": ([("by", Literal["a", "b"])], [("by", Literal["a", "b", "c"])]),
    "any text": ([("by", Literal["a", "b"])], [("by", str)]),
    "nothing instead": ([("by", str)], [("by", str | None)]),
    "another type": ([("by", str)], [("by", str | int)]),
    "a wider number": ([("count", int)], [("count", float)]),
    "anything": ([("count", int)], [("count", Any)]),
    "a looser bound": ([("count", SMALL)], [("count", Annotated[int, Meta(ge=0, le=10)])]),
    "no bound": ([("count", SMALL)], [("count", int)]),
    "no pattern": ([("uci", SQUARE)], [("uci", str)]),
    "a field further in": ([("clock", Clock)], [("clock", ClockWithMore)]),
    "more in a list": ([("names", list[int])], [("names", list[int | str])]),
    "more in a table": ([("names", dict[str, int])], [("names", dict[str, float])]),
    "a Struct that holds itself": ([("chain", Chain)], [("chain", Chain | None)]),
}

INCOMPATIBLE = {
    "required_added": ([], [("count", int)], "count"),
    "required_added always": ([("count", int, 0)], [("count", int)], "count"),
    "field_removed": ([("count", int)], [], "count"),
    "field_removed renamed": ([("count", int)], [("number", int, 0)], "count"),
    "value_removed": ([("by", Literal["a", "b"])], [("by", Literal["a"])], "by"),
    "type_narrowed": ([("count", int)], [("count", str)], "count"),
    "type_narrowed number": ([("count", float)], [("count", int)], "count"),
    "type_narrowed null": ([("by", str | None)], [("by", str)], "by"),
    "type_narrowed enum": ([("by", str)], [("by", Literal["a"])], "by"),
    "type_narrowed anything": ([("by", Any)], [("by", str)], "by"),
    "range_narrowed": ([("count", int)], [("count", SMALL)], "count"),
    "range_narrowed above": ([("n", SMALL)], [("n", Annotated[int, Meta(ge=1, le=8)])], "n"),
    "range_narrowed below": ([("n", SMALL)], [("n", Annotated[int, Meta(ge=2, le=9)])], "n"),
    "constraint_changed": ([("uci", str)], [("uci", SQUARE)], "uci"),
    "not_judged": ([("pair", tuple[int, int])], [("pair", tuple[int, int])], "pair"),
    "default_changed": ([("count", int, 3)], [("count", int, 4)], "count"),
    "default_changed kind": ([("count", float, 1)], [("count", float, 1.0)], "count"),
    "field_removed inside": ([("clock", Clock)], [("clock", ClockWithLess)], "clock.initial"),
    "required_added inside": ([("c", ClockWithLess | None)], [("c", Clock | None)], "c.initial"),
    "type_narrowed list": ([("names", list[int])], [("names", list[str])], "names[]"),
    "type_narrowed table": ([("names", dict[str, int])], [("names", dict[str, str])], "names.*"),
    "type_narrowed itself": ([("chain", Chain)], [("chain", WeakerChain)], "chain.link"),
}


@pytest.mark.parametrize("change", COMPATIBLE)
def test_what_may_change(change):
    """A reader with the new Struct reads all that the old one wrote."""
    old, new = COMPATIBLE[change]
    assert problems(schema(*old), schema(*new)) == []


@pytest.mark.parametrize("change", INCOMPATIBLE)
def test_what_may_not_change(change):
    """There's an old record that the new Struct would refuse or misread, and the place is named."""
    old, new, path = INCOMPATIBLE[change]
    found = problems(schema(*old), schema(*new))
    assert {(p.path, p.rule) for p in found} == {(path, change.split()[0])}
    assert path in str(found[0])


def an_object(fields: dict[str, Any], rest: Any = False, **definitions: Any) -> dict[str, Any]:
    """Return an object's schema with optional fields, written by hand."""
    found = {"type": "object", "properties": fields, "required": []}
    return {**found, "additionalProperties": rest, "definitions": definitions}


NUMBER, WORD = {"type": "integer"}, {"type": "string"}
AT = {"$ref": "#/definitions/A"}
EITHER = {"anyOf": [{"$ref": "#/definitions/B"}, {"$ref": "#/definitions/A"}]}
BY_HAND = {
    "a table is closed": (an_object({}, NUMBER), an_object({}, False), ("", "closed")),
    "an open one is closed": (an_object({}, True), an_object({}, False), ("", "closed")),
    "a name in an open one": (
        an_object({}, True), an_object({"a": NUMBER}, True), ("a", "type_narrowed")),
    "a name in a table": (
        an_object({}, NUMBER), an_object({"a": WORD}, NUMBER), ("a", "type_narrowed")),
    "a name joins the table": (
        an_object({"a": WORD}, NUMBER), an_object({}, NUMBER), ("a", "type_narrowed")),
    "one way out doesn't help the next": (
        an_object({"p": AT, "q": AT}, A=an_object({"a": WORD})),
        an_object({"p": EITHER, "q": EITHER["anyOf"][0]}, A=an_object({"a": WORD}), B=an_object({})),
        ("q.a", "field_removed"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", BY_HAND)
def test_what_may_not_change_where_fields_have_no_names(change):
    """Tables and open objects, which Structs seldom have, and Structs that are met twice."""
    old, new, expected = BY_HAND[change]
    assert [(problem.path, problem.rule) for problem in problems(old, new)] == [expected]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_whatever_passes_reads_what_was_written(seed):
    """If nothing stands against a change, a valid old value is valid under the new schema, and the
    fields that it leaves out are read as what they were."""
    rng = Random(seed)
    for _ in range(20):
        old = document(rng)
        new = changed(rng, old)
        if problems(old, new):
            continue
        valid, reads = jsonschema.Draft7Validator(old), jsonschema.Draft7Validator(new)
        for written in (value(rng, old, old) for _ in range(4)):
            if valid.is_valid(written):
                reads.validate(written)
                was, now = filled(written, old), filled(written, new)
                both = old["properties"].keys() & new["properties"].keys() & was.keys()
                assert {n: repr(now[n]) for n in both} == {n: repr(was[n]) for n in both}


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_schema_takes_its_own_place(seed):
    """No schema of the kind that's published has anything against itself."""
    schema = document(Random(seed))
    assert problems(schema, copy.deepcopy(schema)) == []
