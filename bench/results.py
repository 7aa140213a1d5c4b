"""The end of a run: its figures as JSON beside the tables, and its exit code."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from bench.histogram import RELATIVE_ERROR
from bench.parts import OWN
from bench.screen import console
from bench.tally import Tally

FOLDER = Path("bench-results")


def write(name: str, body: dict[str, Any], path: Path | None) -> Path:
    """Write `body` as JSON to `path` (None: bench-results/NAME-TIME.json) and say where."""
    now = datetime.now(UTC)
    if path is None:
        path = FOLDER / f"{name}-{now:%Y%m%dT%H%M%SZ}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    head = {
        "bench": name,
        "at": now,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "histogram": f"log-linear buckets, relative error below {RELATIVE_ERROR:.1%}",
    }
    path.write_bytes(msgspec.json.format(msgspec.json.encode(head | body), indent=2))
    console.print(f"figures: {path}")
    return path


def system_total(parts: dict[str, Any]) -> float | None:
    """Return the CPU microseconds a piece of work took in the system, without the generator."""
    each = [part["us_each"] for name, part in parts.items() if name not in OWN]
    return round(sum(each), 1) if each and None not in each else None


def exit_code(tally: Tally, *, errors_fail: bool) -> int:
    """Return 1 if anything was wrong (or, where that is asked, refused or unanswered)."""
    return 1 if tally.wrong or (errors_fail and tally.errors) else 0
