"""What GET /shards tells: every shard, as fresh as it can say it itself, and the processes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from runtime.coordinator import Coordinator
from runtime.host import Peers, Process, lives
from runtime.operations import Operations
from runtime.orders import Beat

_STATUS_S = 0.5


async def describe(
    coordinator: Coordinator,
    operations: Operations,
    peers: Peers,
    others: Sequence[dict[str, object]],
) -> dict[str, object]:
    """Return the body of GET /shards; `others` are processes that the coordinator can't know."""
    ownership = coordinator.ownership
    members = ownership.members()
    shards = await asyncio.gather(*(_line(peers, beat, state) for beat, state in members))
    for shard in shards:
        plan = ownership.plan.shards.get(str(shard["name"]))
        shard["weight"] = plan.weight if plan is not None else 1.0
    processes: list[dict[str, object]] = [_process("coordinator", peers.here)]
    processes += [_process("shard", Process(beat.node, beat.pid)) for beat, _ in members]
    gateways = await living(peers, coordinator.gateway_processes())
    processes += [_process("gateway", process) for process in gateways]
    return {
        "partitions": len(ownership.rows),
        "version": ownership.table.version,
        "unsettled": ownership.unsettled,
        "pins": {str(partition): name for partition, name in ownership.plan.pins.items()},
        "formats": coordinator.formats(),
        "refused": coordinator.refused(),
        "operation": msgspec.to_builtins(operations.progress),
        "shards": shards,
        "processes": [*processes, *others],
    }


async def _line(peers: Peers, beat: Beat, state: str) -> dict[str, object]:
    status: Any = beat.status
    if state != "silent":
        try:
            status = await peers.call(beat.name, "status", timeout=_STATUS_S)
        except Exception:  # noqa: BLE001  (however a peer can fail: its last word stands)
            state = "silent"
    address = f"{beat.address[0]}:{beat.address[1]}"
    return {"name": beat.name, "state": state, "node": beat.node, "address": address, **status}


async def living(peers: Peers, processes: Mapping[str, Process]) -> list[Process]:
    """Return those of the services' processes that run, though perhaps hang."""
    alive = await asyncio.gather(*(_lives(peers, *each) for each in processes.items()))
    return [process for process, runs in zip(processes.values(), alive, strict=True) if runs]


async def _lives(peers: Peers, name: str, process: Process) -> bool:
    if process.node == peers.here.node:
        return lives(process.pid)
    try:
        return await peers.call(name, "pid", timeout=_STATUS_S) == process.pid
    except TimeoutError:
        return True
    except Exception:  # noqa: BLE001  (however a peer can fail)
        return False


def _process(role: str, process: Process) -> dict[str, object]:
    return {"role": role, "node": process.node, "pid": process.pid}
