"""Whom a fault hits: decided from what GET /shards and /proc tell, and from a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from bench.faults.kinds import Blow
from bench.parts import Shard, Shards
from bench.proc import Stat, family


@dataclass
class Victim:
    """Who is hit.

    Attributes:
        name: For people.
        pids: The processes that get the signal.
        partitions: Which the victim owns, and so whose games it hits.
    """

    name: str
    pids: list[int]
    partitions: set[int] = field(default_factory=set[int])


class NobodyError(Exception):
    """There's nobody whom this fault could hit; the text says why."""


class NotHereError(Exception):
    """The server doesn't run on this machine, so it can't be hit from here; the text says more."""


def owners(shards: Shards) -> dict[int, tuple[str, int]]:
    """Return (shard, epoch) of every partition that a serving shard owns."""
    return {
        held.id: (shard.name, held.epoch)
        for shard in shards.shards
        if shard.state == "serving"
        for held in shard.partitions
    }


def whole(shards: Shards) -> bool:
    """Return whether every partition has an owner that serves."""
    return shards.partitions > 0 and len(owners(shards)) == shards.partitions


def complete(shards: Shards, of: Mapping[int, Stat], count: int) -> bool:
    """Return whether `count` shards serve, and every process that GET /shards names is there."""
    serving = [shard.pid for shard in shards.shards if shard.state == "serving"]
    named = [each.pid for each in shards.processes]
    return len(serving) >= count and all(pid in of for pid in (*serving, *named))


def strangers(
    shards: Shards, of: Mapping[int, Stat], command: Callable[[int], bytes]
) -> dict[int, str]:
    """Return the pids (and their roles) that are no processes of a gameshard on this machine.

    A tunnel or a container makes a server look local whose pids are another's: no signal may
    go there.
    """
    named = {shard.pid: shard.name for shard in shards.shards}
    named |= {each.pid: each.role for each in shards.processes}
    return {pid: role for pid, role in named.items() if pid not in of or not _ours(command(pid))}


def _ours(line: bytes) -> bool:
    return any(
        word in line
        for word in (
            b"ray::", b"raylet", b"gameshard", b"gateway.cli", b"postgres", b"kafka.Kafka",
            b"valkey-server", b"redis-server",
        )
    )  # fmt: skip


def choose(
    blow: Blow,
    shards: Shards,
    of: Mapping[int, Stat],
    command: Callable[[int], bytes],
    random: Random,
) -> Victim:
    """Return whom `blow` hits; among equals `random` draws.

    Args:
        blow: The kind.
        shards: The body of GET /shards.
        of: Every process of this machine.
        command: Gives the command line of a pid.
        random: The run's own.

    Raises:
        NobodyError: If there is nobody, or nobody else would be left.
    """
    if blow.role == "node":
        return _node(blow, shards, of, command, random)
    if blow.role == "shard":
        living = [shard for shard in shards.shards if shard.pid in of and shard.partitions]
        if not living:
            raise NobodyError("no shard of GET /shards lives on this machine and owns a partition")
        shard = random.choice(sorted(living, key=lambda each: each.name))
        return Victim(f"{shard.name} pid {shard.pid}", [shard.pid], _held([shard]))
    pids = sorted({each.pid for each in shards.processes if each.role == blow.role})
    living_pids = [pid for pid in pids if pid in of]
    if not living_pids:
        named = f"pids {pids}, which are gone" if pids else "none"
        raise NobodyError(f"GET /shards names as {blow.role}: {named}")
    pid = random.choice(living_pids)
    hit = family(pid, of) if blow.role == "postgres" else [pid]  # its sessions are processes, too
    return Victim(f"{blow.role} pid {pid}", hit)


def _node(
    blow: Blow,
    shards: Shards,
    of: Mapping[int, Stat],
    command: Callable[[int], bytes],
    random: Random,
) -> Victim:
    """Return a raylet that holds shards, but neither the coordinator nor everything.

    A kill hits the raylet alone, as the kernel would; Ray's processes of that node follow by
    themselves. A stop hits the whole node, which is then a silent host.
    """
    nodes: dict[int, list[Shard]] = {}
    for shard in shards.shards:
        if (raylet := _raylet(shard.pid, of, command)) is not None:
            nodes.setdefault(raylet, []).append(shard)
    heads = {
        _raylet(each.pid, of, command) for each in shards.processes if each.role == "coordinator"
    }
    candidates = sorted(raylet for raylet in nodes if raylet not in heads)
    if not candidates:
        raise NobodyError(
            f"{len(nodes)} raylets of this machine hold shards, and none of them is without the "
            "coordinator: to lose a node takes a cluster of several"
        )
    raylet = random.choice(candidates)
    lost = nodes[raylet]
    names = ", ".join(sorted(shard.name for shard in lost))
    pids = [raylet] if blow.verb == "kill" else family(raylet, of)
    return Victim(f"raylet pid {raylet} with {names}", pids, _held(lost))


def _raylet(pid: int, of: Mapping[int, Stat], command: Callable[[int], bytes]) -> int | None:
    """Return the raylet that started `pid`, if there is one."""
    while pid in of and pid > 1:
        if command(pid).split(b"\0")[0].endswith(b"/raylet"):
            return pid
        pid = of[pid].parent
    return None


def _held(shards: list[Shard]) -> set[int]:
    return {held.id for shard in shards for held in shard.partitions}
