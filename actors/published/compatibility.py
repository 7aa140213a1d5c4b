"""Whether one schema may take the place of another: can its readers read what was written before?

That is Confluent's BACKWARD, everything that is valid under the old schema is valid under the new
one, and a rule of our own: values at their default aren't written, so a default never changes.

It judges what msgspec makes of Structs, in the words of draft 7. A schema with any other keyword is
refused: rather that than let through what wouldn't do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

Schema = Mapping[str, Any]

_LOWER = {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"}
_UPPER = {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"}
_KEPT = {"format", "pattern", "multipleOf", "uniqueItems", "contentEncoding"}
_NOTES = {"$schema", "$id", "title", "description", "definitions", "default", "discriminator"}
_SHAPE = {"type", "const", "properties", "required", "additionalProperties", "items"}
_JUDGED = _LOWER | _UPPER | _KEPT | _NOTES | _SHAPE
_TYPES: Mapping[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
}
_ABSENT = object()


class Problem(NamedTuple):
    """Why old records could be refused or misread.

    Attributes:
        path: Where in the event, such as "clock.initial"; empty for the whole of it.
        rule: A stable word for the kind of change.
        detail: A sentence for a person.
    """

    path: str
    rule: str
    detail: str

    def __str__(self) -> str:
        return f"{self.path or 'the event'}: {self.detail} ({self.rule})"


def problems(old: Schema, new: Schema) -> list[Problem]:
    """Return what stands against `new` taking the place of `old`; empty if nothing does."""
    return list(_Comparison(old, new).any(old, new, ""))


class _Comparison:
    """Two documents side by side; the references of each are resolved in its own."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old = old
        self._new = new
        self._begun: set[tuple[int, int]] = set()

    def any(self, old: Schema, new: Schema, path: str) -> Iterator[Problem]:
        """Each way in which `old` allows a value has to be one that `new` allows."""
        accepted = list(_ways(new, self._new))
        for way in _ways(old, self._old):
            yield from self._best(way, accepted, path)

    def _best(self, old: Schema, accepted: list[Schema], path: str) -> Iterator[Problem]:
        found: list[Problem] = []
        for new in accepted:
            if not _same_kind(old, new):
                continue
            begun = set(self._begun)
            wrong = list(self._one(old, new, path))
            if not wrong:
                return
            self._begun = begun
            found = found or wrong
        if "const" in old and not found:
            yield Problem(path, "value_removed", f"{old['const']!r} isn't accepted any more")
        elif not found:
            yield Problem(path, "type_narrowed", f"not every {_kind(old)} is accepted any more")
        yield from found

    def _one(self, old: Schema, new: Schema, path: str) -> Iterator[Problem]:
        if strange := sorted({*old, *new} - _JUDGED):
            yield Problem(path, "not_judged", f"nobody here knows what {strange} means")
            return
        yield from _bounds(old, new, path)
        if new.keys() <= _NOTES:
            return
        if _kind(old) == "object":
            if (pair := (id(old), id(new))) in self._begun:
                return  # a Struct that holds itself: these two are being compared, or were
            self._begun.add(pair)
            yield from self._named(old, new, path)
            yield from self._others(old, new, path)
        if _kind(old) == "array" and "items" in new:
            yield from self.any(old.get("items", {}), new["items"], f"{path}[]")

    def _named(self, old: Schema, new: Schema, path: str) -> Iterator[Problem]:
        """Compare the fields that the old schema names, and those that the new one requires."""
        always = old.get("required", ())
        for name in new.get("required", ()):
            if name not in always:
                yield Problem(_under(path, name), "required_added", "old records may lack it")
        fields: Mapping[str, Schema] = new.get("properties", {})
        for name, field in old.get("properties", {}).items():
            at = _under(path, name)
            if name not in fields:
                if _rest(new) is None:
                    yield Problem(at, "field_removed", "old records may have it")
                else:
                    yield from self.any(field, _rest(new) or {}, at)
                continue
            yield from self.any(field, fields[name], at)
            sometimes = {*always, *new.get("required", ())}.isdisjoint({name})
            if sometimes and _default(field) != _default(fields[name]):
                yield Problem(at, "default_changed", "old records leave out what was the default")

    def _others(self, old: Schema, new: Schema, path: str) -> Iterator[Problem]:
        """Compare what fields without a name of their own may hold."""
        rest = _rest(old)
        if rest is None:
            return
        known = old.get("properties", {})
        for name, field in new.get("properties", {}).items():
            if name not in known:
                yield from self.any(rest, field, _under(path, name))
        if _rest(new) is None:
            yield Problem(path, "closed", "old records may have fields that aren't named")
        else:
            yield from self.any(rest, _rest(new) or {}, f"{path}.*")


def _ways(schema: Schema, document: Schema) -> Iterator[Schema]:
    """Yield `schema` as alternatives, each of one type or one value (a "const")."""
    while "$ref" in schema:
        schema = document["definitions"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema and schema.keys() <= {"anyOf", *_NOTES}:
        for way in schema["anyOf"]:
            yield from _ways(way, document)
    elif "enum" in schema:
        others = {word: schema[word] for word in schema if word not in {"enum", "type"}}
        for value in schema["enum"]:
            yield {**others, "const": value}
    else:
        yield schema


def _kind(way: Schema) -> str:
    return _TYPES.get(type(way["const"]), "value") if "const" in way else way.get("type", "value")


def _same_kind(old: Schema, new: Schema) -> bool:
    if "const" in new:
        return "const" in old and (type(old["const"]), old["const"]) == (
            type(new["const"]),
            new["const"],
        )
    if "type" not in new:
        return True
    return _kind(old) == new["type"] or (_kind(old), new["type"]) == ("integer", "number")


def _bounds(old: Schema, new: Schema, path: str) -> Iterator[Problem]:
    for keyword in sorted(_KEPT & new.keys()):
        if old.get(keyword, _ABSENT) != new[keyword]:
            yield Problem(path, "constraint_changed", f"{keyword!r} is {new[keyword]!r} now")
    for keyword in sorted((_LOWER | _UPPER) & new.keys()):
        was, now = old.get(keyword), new[keyword]
        if was is None or (was < now if keyword in _LOWER else was > now):
            yield Problem(path, "range_narrowed", f"{keyword!r} is {now}, and was {was}")


def _rest(schema: Schema) -> Schema | None:
    """Return what the fields without a name of their own may hold; None if there are none."""
    rest = schema.get("additionalProperties", True)
    if isinstance(rest, bool):
        return {} if rest else None
    return cast("Schema", rest)


def _default(field: Schema) -> tuple[type, Any]:
    value = field.get("default", _ABSENT)
    return type(value), value


def _under(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
