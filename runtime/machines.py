"""Which machine a new shard begins on: Ray spreads only what takes CPUs of its account."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import Struct


class Machine(Struct, frozen=True):
    """A node of Ray that lives: its id, its CPUs, and the names of what else it has."""

    node: str
    cpus: float
    resources: Collection[str] = ()


def roomiest(machines: Sequence[Machine], taken: Sequence[str], resource: str = "") -> str:
    """Return the node with the fewest shards for its CPUs; empty if there's nothing to choose.

    Args:
        machines: Those that live.
        taken: The node of every shard that there is.
        resource: What the machine must have; empty: nothing in particular.
    """
    fit = [each for each in machines if not resource or resource in each.resources]
    workers = [each for each in fit if each.cpus] or fit  # a head without CPUs is for others
    if len(fit) < 2:
        return ""

    def crowd(machine: Machine) -> tuple[float, str]:
        return (1 + taken.count(machine.node)) / max(1.0, machine.cpus), machine.node

    return min(workers, key=crowd).node
