"""What a Kafka node is told: pure, so that a test can compare it with compose.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct


class NodePorts(Struct, frozen=True):
    """The two ports of a node: clients and other brokers use one, the metadata quorum the other."""

    broker: int
    controller: int


COMMON = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "auto.create.topics.enable": "false",
    # A producer's fence must outlive a partition in which nothing happens.
    "transactional.id.expiration.ms": "2147483647",
    "producer.id.expiration.ms": "2147483647",
    # Small: two cores are shared with everything else.
    "num.network.threads": "2",
    "num.io.threads": "2",
    "num.replica.fetchers": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "4",
    "log.cleaner.dedupe.buffer.size": "16777216",
    "log.segment.bytes": "134217728",
    "group.initial.rebalance.delay.ms": "0",
}

_ALONE = {
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
}

# A node that was killed is missed after three seconds, and its partitions are led by others.
_TOGETHER = {
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "replica.lag.time.max.ms": "3000",
    "controller.quorum.election.timeout.ms": "1000",
    "controller.quorum.fetch.timeout.ms": "2000",
    "unclean.leader.election.enable": "false",
}

_FACTORS = (
    "default.replication.factor",
    "offsets.topic.replication.factor",
    "transaction.state.log.replication.factor",
    "share.coordinator.state.topic.replication.factor",
)
_MINIMA = (
    "min.insync.replicas",
    "transaction.state.log.min.isr",
    "share.coordinator.state.topic.min.isr",
)


def replication(nodes: int) -> dict[str, str]:
    """Return the settings that depend on how many nodes there are."""
    return {
        **dict.fromkeys(_FACTORS, str(min(3, nodes))),
        **dict.fromkeys(_MINIMA, str(min(2, nodes))),
        **(_TOGETHER if nodes > 1 else _ALONE),
    }


def properties(node: int, ports: Sequence[NodePorts], data: Path) -> str:
    """Return the server.properties of `node` (from 1), which keeps its log in `data`."""
    own = ports[node - 1]
    voters = (f"{i}@127.0.0.1:{p.controller}" for i, p in enumerate(ports, 1))
    settings = {
        **COMMON,
        **replication(len(ports)),
        "node.id": str(node),
        "controller.quorum.voters": ",".join(voters),
        "listeners": f"PLAINTEXT://127.0.0.1:{own.broker},CONTROLLER://127.0.0.1:{own.controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{own.broker}",
        "log.dirs": str(data),
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())
