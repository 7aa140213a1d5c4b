"""Write the schemas of some modules' `events` to a folder: the one place here that touches files.

python -m actors.published [--release] FOLDER MODULE...

With --release, today's schemas also join the released ones, which hold all later changes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from actors.published.release import refusals, stale, to_release, todays
from actors.published.schema import Published, published


def collected(modules: Sequence[str]) -> list[Published]:
    """Return the schemas of all events of these modules, which have an attribute `events`."""
    return published(event for name in modules for event in import_module(name).events)


def read(folder: Path) -> dict[str, bytes]:
    """Return all schemas in the folder."""
    paths = sorted(folder.rglob("*.json"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def main(arguments: Sequence[str] | None = None) -> int:
    """Bring the folder up to date; return 1, and write nothing, if old events would be lost."""
    parser = argparse.ArgumentParser(prog="python -m actors.published", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("modules", nargs="+", metavar="module")
    parser.add_argument("--release", action="store_true")
    options = parser.parse_args(arguments)
    schemas, files = collected(options.modules), read(options.folder)
    if refused := refusals(schemas, files):
        lines = [*map(str, refused), "Give the event a new version instead: docs/EVENTS.md."]
        sys.stderr.write("\n".join(lines) + "\n")
        return 1
    wanted = todays(schemas)
    _write(options.folder, {path: wanted.get(path) for path in stale(schemas, files)})
    if options.release:
        _write(options.folder, to_release(schemas, files))
    return 0


def _write(folder: Path, changes: dict[str, bytes] | dict[str, bytes | None]) -> None:
    for name, content in changes.items():
        path = folder / name
        if content is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        sys.stdout.write(f"{'removed' if content is None else 'wrote'} {path}\n")


if __name__ == "__main__":
    sys.exit(main())
