"""The processes of this machine, from /proc."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
_TICK = os.sysconf("SC_CLK_TCK")


class Stat(NamedTuple):
    """One process. CPU in seconds; `born` tells two lives under one pid apart."""

    parent: int
    cpu: float
    dead_cpu: float
    state: str
    born: int


def stats() -> dict[int, Stat]:
    """Return every process by its id."""
    found: dict[int, Stat] = {}
    for entry in os.scandir(PROC):
        if entry.name.isdigit() and (one := stat(int(entry.name))) is not None:
            found[int(entry.name)] = one
    return found


def stat(pid: int) -> Stat | None:
    """Return one process; None if it's gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the name may hold blanks and brackets
    own, dead = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    return Stat(int(fields[1]), own / _TICK, dead / _TICK, fields[0], int(fields[19]))


def command(pid: int) -> bytes:
    """Return the command line of a process, words parted by NUL; empty if it's gone."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return b""


def family(pid: int, of: Mapping[int, Stat]) -> list[int]:
    """Return `pid` and all that descend from it, itself first."""
    found = [pid]
    for one in found:
        found += [child for child, each in of.items() if each.parent == one]
    return found
