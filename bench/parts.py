"""CPU and memory of each part of the system, from /proc: only where the server runs here too.

The server names its processes in GET /shards (shards by "pid", the others under "processes" as
{"role", "pid"}). A part is these processes with all that they started; whatever else lives below
`gameshard run` is Ray's own. A process's CPU includes that of its dead children.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, NamedTuple

import msgspec

from bench.proc import PROC, Stat, command
from bench.proc import stats as stats_of_all

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
GENERATOR = "load generator"
TERMINAL = "bench's table"
OWN = (GENERATOR, TERMINAL)
"""Parts that are not the system's."""
_RAY = "ray"


class Process(msgspec.Struct):
    """A process of the server that is no shard."""

    role: str
    pid: int


class Held(msgspec.Struct, frozen=True):
    """A partition that a shard owns, and the epoch at which it does."""

    id: int
    epoch: int = 0


class Shard(msgspec.Struct):
    """What GET /shards says of one shard, as far as a bench looks at it."""

    name: str = ""
    pid: int = 0
    games: int = 0
    passive_games: int = 0
    state: str = ""
    node: str = ""
    partitions: list[Held] = []


class Shards(msgspec.Struct):
    """The body of GET /shards, as far as a bench looks at it."""

    shards: list[Shard] = []
    processes: list[Process] = []
    partitions: int = 0


@dataclass
class Sample:
    """One look at every part. CPU in seconds since each process began, memory in bytes."""

    at: float
    cpu: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    pss: Counter[str] = field(default_factory=Counter[str])
    rss: Counter[str] = field(default_factory=Counter[str])
    busy: float = 0.0


class Usage(NamedTuple):
    """What one part used between two samples; memory as of the second."""

    cpu_seconds: float
    pss: int
    rss: int


class Parts:
    """The process tree by role.

    Args:
        shards: The body of GET /shards.
        generators: The load generators' process ids.
        terminal: This process's id, if its CPU and memory shall stand in a line of their own.
    """

    def __init__(
        self, shards: Shards, generators: Iterable[int] = (), terminal: int | None = None
    ) -> None:
        roles = {each.pid: each.role for each in shards.processes if each.pid}
        roles |= {shard.pid: "shard" for shard in shards.shards if shard.pid}
        top = next((pid for pid, role in roles.items() if role == "run"), None)
        if top is None and roles:
            top = _topmost(next(iter(roles)))
        if top is not None:
            roles[top] = _RAY
        ours = dict.fromkeys(generators, GENERATOR)
        if terminal is not None:
            ours[terminal] = TERMINAL
        self._roles: Mapping[int, str] = roles | ours

    @property
    def known(self) -> bool:
        """Whether the server's processes were found on this machine."""
        stats = stats_of_all()
        return any(pid in stats for pid, role in self._roles.items() if role not in OWN)

    def sample(self, *, memory: bool = False) -> Sample:
        """Look at every process; with `memory` also at PSS, which costs milliseconds a process."""
        stats = stats_of_all()
        sample = Sample(perf_counter(), busy=_busy())
        for pid, stat in stats.items():
            role = self._role(pid, stats)
            if role is None:
                continue
            sample.cpu[role] += stat.cpu + stat.dead_cpu
            if memory:
                rss, pss = memory_of(pid)
                sample.rss[role] += rss
                sample.pss[role] += pss
        return sample

    def _role(self, pid: int, stats: Mapping[int, Stat]) -> str | None:
        while pid in stats:
            if pid in self._roles:
                return self._roles[pid]
            pid = stats[pid].parent
        return None


def used(before: Sample, after: Sample) -> dict[str, Usage]:
    """Return what each part used in between, the system's parts first, by CPU."""
    names = sorted(after.cpu, key=lambda name: (name in OWN, -after.cpu[name]))
    return {
        name: Usage(after.cpu[name] - before.cpu[name], after.pss[name], after.rss[name])
        for name in names
    }


def memory_of(pid: int) -> tuple[int, int]:
    """Return (RSS, PSS) of a process in bytes; (0, 0) if it is gone.

    PSS shares what several processes map (Ray's object store, Postgres's buffers) among them, so
    a sum over processes is right. Where the kernel doesn't tell it, it's the RSS.
    """
    try:
        rss = int((PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0, 0
    try:
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return rss, int(line.split()[1]) * 1024
    except OSError:
        pass
    return rss, rss


def describe(usage: Mapping[str, Usage], seconds: float, work: int) -> dict[str, Any]:
    """Return each part's figures, ready for JSON; `work` is how many moves or games there were."""
    return {
        name: {
            "cpu_seconds": round(each.cpu_seconds, 2),
            "cores": round(each.cpu_seconds / seconds, 3),
            "us_each": round(each.cpu_seconds * 1e6 / work, 1) if work else None,
            "pss_mb": round(each.pss / 1e6, 1),
            "rss_mb": round(each.rss / 1e6, 1),
        }
        for name, each in usage.items()
    }


def _busy() -> float:
    """Return the CPU seconds that this machine has spent so far, all processes and the kernel."""
    fields = (PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]
    times = [int(each) for each in fields]
    return (sum(times) - times[3] - times[4]) / _TICK


def _topmost(pid: int) -> int | None:
    """Return the highest ancestor of `pid` (or itself) whose command line names gameshard."""
    stats, top = stats_of_all(), None
    while pid in stats and pid > 1:
        line = command(pid)
        if b"gameshard" in line or b"gateway.cli" in line:
            top = pid
        pid = stats[pid].parent
    return top
