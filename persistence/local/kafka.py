"""A local Kafka: the real broker, one node or three, without ZooKeeper or containers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from persistence.local import java
from persistence.local.children import free_port, is_free
from persistence.local.kafka_node import KafkaNode, kafka_id
from persistence.local.kafka_properties import NodePorts

VERSION = java.version("kafka")


class LocalKafka:
    """A cluster on one folder.

    With three nodes every record is on three and acknowledged by two at least, so that one may be
    killed. Three nodes on one machine are for that, not for figures.
    """

    def __init__(
        self,
        folder: Path,
        nodes: int = 1,
        progress: Callable[[str], None] = lambda _: None,
        options: Sequence[str] = (),
    ) -> None:
        """Keep everything under `folder`, which is made if it's missing.

        `nodes` can't be changed once there is data; `progress` is told what takes its time;
        `options` are Java's, added to ours.
        """
        self._progress = progress
        self._folder = folder.resolve()
        self._ports = self._folder / "ports.json"
        heap = "512m" if nodes == 1 else "256m"
        options = [f"-Xms{heap}", f"-Xmx{heap}", *options]
        self.nodes: Sequence[KafkaNode] = [
            KafkaNode(number, self._folder / f"node-{number}", options)
            for number in range(1, nodes + 1)
        ]

    @property
    def running(self) -> bool:
        """Whether all nodes live. If one has ended by itself, `start` it again."""
        return all(node.running for node in self.nodes)

    @property
    def pid(self) -> int | None:
        """The first node's process id."""
        return self.nodes[0].pid

    @property
    def address(self) -> str:
        """Where clients connect first: HOST:PORT of every node, with commas between."""
        return ",".join(node.address for node in self.nodes)

    def start(self, *, moving: bool = True) -> None:
        """Start every node that doesn't run; return when all take part.

        The ports are those of the last time. If one of them is taken and no node runs, others are
        chosen, unless that's not wished for (`moving`): clients may know where it was.

        Raises:
            ServiceError: If it can't run on this folder or machine; its subclasses say why.
        """
        if not any(node.running for node in self.nodes):
            self._configure(moving)
        missing = [node for node in self.nodes if not node.running]
        if missing:
            self._progress("starting Kafka")
        try:
            for node in missing:
                node.launch()
            for node in missing:
                node.wait()
        except BaseException:
            for node in missing:
                node.kill()
            raise

    def _configure(self, moving: bool) -> None:
        for node in self.nodes:
            node.prepare()
        ports = self._choose_ports(moving)
        for node in self.nodes:
            node.configure(ports)
        new = [node for node in self.nodes if not node.formatted]
        if new:
            self._progress("making Kafka's storage")
            cluster = self._cluster()
            for node in new:
                if node is new[0]:
                    node.format(cluster)
                else:
                    node.format_like(new[0])

    def _cluster(self) -> str:
        """Return the cluster's id, which a node that lost its data gets as well."""
        file = self._folder / "cluster-id"
        if not file.exists():
            file.write_text(kafka_id())
        return file.read_text()

    def _choose_ports(self, moving: bool) -> Sequence[NodePorts]:
        with contextlib.suppress(OSError, msgspec.DecodeError):
            before = msgspec.json.decode(self._ports.read_bytes(), type=list[NodePorts])
            each = [port for ports in before for port in (ports.broker, ports.controller)]
            if len(before) == len(self.nodes) and (not moving or all(map(is_free, each))):
                return before
        free: set[int] = set()
        while len(free) < 2 * len(self.nodes):
            free.add(free_port())
        chosen = [NodePorts(free.pop(), free.pop()) for _ in self.nodes]
        self._ports.write_bytes(msgspec.json.encode(chosen))
        return chosen

    def stop(self) -> None:
        """Stop all nodes and wait for their end."""
        for node in self.nodes:
            node.terminate()
        for node in self.nodes:
            node.stop()

    def kill(self) -> None:
        """End all nodes at once, as `kill -9` does; what was acknowledged stays."""
        for node in self.nodes:
            node.kill()
