"""Schemas as msgspec makes them, values that fit them, and changes of every kind, from a seed."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

Schema = dict[str, Any]

NAMES = ("a", "b", "c")
_SCALARS: tuple[Schema, ...] = (
    {"type": "integer"},
    {"type": "number"},
    {"type": "string"},
    {"type": "boolean"},
    {"type": "integer", "minimum": 0},
    {"type": "integer", "minimum": 1, "maximum": 2},
    {"type": "string", "minLength": 1},
    {"type": "string", "pattern": "^x"},
    {"enum": ["x"]},
    {"enum": ["x", "y", ""]},
    {"enum": [0, 1, None]},
    {},
    {"$ref": "#/definitions/A"},
    {"$ref": "#/definitions/B"},
)
_DEFAULTS = (None, 0, 1, "x")


def _part(rng: Random, depth: int = 0) -> Schema:
    match rng.randrange(8) if depth < 3 else 0:
        case 1:
            return {"anyOf": [_part(rng, depth + 1), {"type": "null"}]}
        case 2:
            return {"anyOf": [_part(rng, depth + 1) for _ in range(rng.randint(1, 3))]}
        case 3:
            return {"type": "array", "items": _part(rng, depth + 1)}
        case 4:
            return _object(rng, depth + 1)
        case _:
            return copy.deepcopy(rng.choice(_SCALARS))


def _object(rng: Random, depth: int = 0) -> Schema:
    fields = {name: _part(rng, depth) for name in rng.sample(NAMES, rng.randint(0, 3))}
    required = [name for name in fields if rng.random() < 0.5]
    for name, field in fields.items():
        if name not in required and rng.random() < 0.5:
            field["default"] = rng.choice(_DEFAULTS)
    rest = rng.choice([False, False, False, True, _part(rng, 3)])
    found = {"type": "object", "properties": fields, "required": required}
    return found if rest is True else found | {"additionalProperties": rest}


def document(rng: Random) -> Schema:
    """Return a whole schema: an object with two Structs to refer to, which may refer to each other."""
    return {**_object(rng), "definitions": {"A": _object(rng, 1), "B": _object(rng, 1)}}


def changed(rng: Random, old: Schema) -> Schema:
    """Return `old` after a change or two somewhere in it."""
    new = copy.deepcopy(old)
    for _ in range(rng.choice((1, 1, 2))):
        objects, others = [new], []
        _walk(new, objects, others)
        if others and rng.random() < 0.5:
            _change_part(rng, *rng.choice(others))
        else:
            _change_object(rng, rng.choice(objects))
    return new


def _walk(part: Schema, objects: list[Schema], others: list[tuple[Any, Any]]) -> None:
    """Find every object with fields, and every other place that holds a schema."""
    fields, named = part.get("properties", {}), part.get("definitions", {})
    held = [(fields, key) for key in fields]
    held += [(part["anyOf"], i) for i in range(len(part.get("anyOf", ())))]
    held += [
        (part, key) for key in ("items", "additionalProperties") if isinstance(part.get(key), dict)
    ]
    others += held
    for where, key in [*held, *((named, key) for key in named)]:
        if "properties" in where[key]:
            objects.append(where[key])
        _walk(where[key], objects, others)


def _change_object(rng: Random, part: Schema) -> None:
    name, fields = rng.choice(NAMES), part["properties"]
    match rng.choice(("field", "remove", "require", "excuse", "default", "rest")):
        case "field":
            fields[name] = _part(rng)
        case "remove":
            fields.pop(name, None)
            part["required"] = [other for other in part["required"] if other != name]
        case "require":
            part["required"] = sorted({*part["required"], name} & fields.keys())
        case "excuse":
            part["required"] = [other for other in part["required"] if other != name]
        case "default" if name in fields:
            fields[name]["default"] = rng.choice(_DEFAULTS)
        case "rest":
            part["additionalProperties"] = rng.choice([True, False, _part(rng, 3)])


def _change_part(rng: Random, where: Any, key: Any) -> None:
    part, other = where[key], _part(rng)
    note = {"default": part["default"]} if "default" in part else {}
    choices = [part | {"description": "x"}, other | note, {"anyOf": [other, part], **note}]
    choices += [part | {word: value} for word, value in (("minimum", 1), ("pattern", "^xy"))]
    if len(part.get("anyOf", ())) > 1:
        choices.append(part | {"anyOf": part["anyOf"][1:]})
    if part.get("enum"):
        choices += [
            part | {"enum": part["enum"][1:] or ["z"]},
            part | {"enum": [*part["enum"], "z"]},
        ]
    where[key] = rng.choice(choices)


_PLAIN: dict[str | None, tuple[Any, ...]] = {
    "integer": (-1, 0, 1, 2),
    "number": (-1, 0, 1, 0.5),
    "string": ("", "x", "y", "xy"),
    "boolean": (True, False),
    "null": (None,),
    None: (None, True, 0, 0.5, "x", [], {}, {"a": 1}),
}


def value(rng: Random, schema: Schema, document: Schema, depth: int = 0) -> Any:
    """Return a value that the schema allows, or nearly so: the caller looks."""
    if "$ref" in schema:
        schema = document["definitions"][schema["$ref"][-1]]
    if "anyOf" in schema:
        return value(rng, rng.choice(schema["anyOf"]), document, depth + 1)
    if "enum" in schema:
        return rng.choice(schema["enum"])
    match schema.get("type"):
        case "object":
            return _object_value(rng, schema, document, depth)
        case "array":
            count = rng.randint(0, 2 if depth < 4 else 0)
            return [value(rng, schema["items"], document, depth + 1) for _ in range(count)]
        case kind:
            return rng.choice(_PLAIN[kind])


def _object_value(rng: Random, schema: Schema, document: Schema, depth: int) -> Any:
    found = {}
    rest = schema.get("additionalProperties", True)
    for name in NAMES:
        field = schema["properties"].get(name, rest)
        wanted = name in schema["required"] or (depth < 4 and rng.random() < 0.5)
        if field is not False and wanted:
            field = {} if field is True else field
            found[name] = value(rng, field, document, depth + 1) if depth < 8 else None
    return found


def filled(value: Any, schema: Schema) -> dict[str, Any]:
    """Return the fields that a reader sees at the top: those that are there, and defaults."""
    defaults = {n: f["default"] for n, f in schema["properties"].items() if "default" in f}
    return defaults | value
