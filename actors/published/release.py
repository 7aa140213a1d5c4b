"""A folder of schemas, as paths and bytes: what is in it, and what should be.

    v1/MovePlayed.json               what the Structs of this working copy give
    released/v1/MovePlayed.1.json    what was released once: logs hold it, so it never changes

The first follows the code. The second holds it: what doesn't read every released revision is
refused, however often the first is made anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from actors.published.compatibility import problems
from actors.published.schema import Published

Files = Mapping[str, bytes]
"""Path below the folder -> content."""

_RELEASED = re.compile(r"released/(?P<record>v[0-9]+/.+)\.(?P<revision>[0-9]+)\.json")


class Refusal(NamedTuple):
    """Why this working copy may not be released.

    Attributes:
        path: The schema that its events don't go with.
        reason: A sentence for a person.
    """

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def todays(schemas: Iterable[Published]) -> dict[str, bytes]:
    """Return the files that hold the schemas of today's Structs."""
    return {f"{_stem(schema)}.json": schema.text for schema in schemas}


def stale(schemas: Iterable[Published], files: Files) -> list[str]:
    """Return the paths that are missing, differ from today's Structs, or belong to none."""
    wanted = todays(schemas)
    found = {path: text for path, text in files.items() if not path.startswith("released/")}
    return sorted(path for path in {*wanted, *found} if wanted.get(path) != found.get(path))


def refusals(schemas: Iterable[Published], files: Files) -> list[Refusal]:
    """Return what stands against reading all that was released with today's Structs."""
    today = {_stem(schema): json.loads(schema.text) for schema in schemas}
    found = [
        Refusal(f"{stem}.json", str(problem))
        for stem, schema in today.items()
        for problem in problems(schema, schema)
    ]
    for path, record, _ in _released(files):
        if record not in today:
            found.append(Refusal(path, "the event is gone, and logs still hold it"))
            continue
        wrong = problems(json.loads(files[path]), today[record])
        found += [Refusal(path, str(problem)) for problem in wrong]
    return found


def to_release(schemas: Iterable[Published], files: Files) -> dict[str, bytes]:
    """Return the files to add: a revision of every schema that isn't as it was last released."""
    newest: dict[str, tuple[int, str]] = {}
    for path, record, revision in _released(files):
        newest[record] = max(newest.get(record, (0, "")), (revision, path))
    added: dict[str, bytes] = {}
    for schema in schemas:
        revision, path = newest.get(_stem(schema), (0, ""))
        if not path or files[path] != schema.text:
            added[f"released/{_stem(schema)}.{revision + 1}.json"] = schema.text
    return added


def _stem(schema: Published) -> str:
    return f"v{schema.version}/{schema.event}"


def _released(files: Files) -> list[tuple[str, str, int]]:
    matches = [(path, _RELEASED.fullmatch(path)) for path in sorted(files)]
    return [(path, match["record"], int(match["revision"])) for path, match in matches if match]
