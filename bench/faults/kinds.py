"""The kinds of faults, by the words that name them."""

from __future__ import annotations

from typing import NamedTuple

ROLES = ("shard", "gateway", "coordinator", "node", "postgres", "kafka", "valkey")
VERBS = {
    "kill": "SIGKILL",
    "stop": "SIGSTOP, later SIGCONT",
    "slow": "stopped four fifths of the time, in turns of 0.1 s, as by a slow disk or processor",
    "cut": "every packet from and to it is dropped; what it has open by unix sockets stays",
    "step": "its wall clock jumps, up to two minutes either way",
}
"""What each verb does."""
_UNCUT = ("node", "gateway")
"""Gateways share a port, so one of them can't be cut off by it."""


class Blow(NamedTuple):
    """One thing that is done to somebody: "shard-kill"."""

    role: str
    verb: str

    def __str__(self) -> str:
        return f"{self.role}-{self.verb}"


class Fault(NamedTuple):
    """One blow, or several within half a second: "shard-kill+kafka-stop"."""

    blows: tuple[Blow, ...]

    def __str__(self) -> str:
        return "+".join(map(str, self.blows))

    @property
    def lasts(self) -> bool:
        """Whether it goes on until it's undone."""
        return any(blow.verb != "kill" for blow in self.blows)


def read_faults(text: str) -> list[Fault]:
    """Read "shard-kill,gateway-stop+kafka-kill".

    Raises:
        ValueError: If a word is no fault.
    """
    return [_read_fault(word.strip()) for word in text.split(",")]


def _read_fault(word: str) -> Fault:
    blows: list[Blow] = []
    for part in word.split("+"):
        role, _, verb = part.partition("-")
        if role not in ROLES or verb not in VERBS or (verb == "cut" and role in _UNCUT):
            roles, verbs = ", ".join(ROLES), ", ".join(VERBS)
            raise ValueError(f"{part!r} is no fault: one of {roles}; a hyphen; one of {verbs}")
        blows.append(Blow(role, verb))
    return Fault(tuple(blows))
