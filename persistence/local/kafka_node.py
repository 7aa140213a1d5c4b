"""One node of a local Kafka: broker and controller (KRaft) in a Java of its own."""

from __future__ import annotations

import hashlib
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from persistence.local import java
from persistence.local.children import is_free
from persistence.local.kafka_properties import NodePorts, properties
from persistence.local.server import PortTaken, Server, ServiceError

_READY = "Kafka Server started"
_START_S = 120.0
_STOP_S = 30.0
_LOGGING = Path(__file__).parent / "jars" / "log4j2.xml"
_QUICK = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx128m")


class KafkaNode:
    """One node on one folder."""

    def __init__(self, number: int, folder: Path, options: Sequence[str]) -> None:
        """Be node `number` (from 1), and keep everything under `folder`.

        `options` are Java's, the size of its heap among them.
        """
        self.number = number
        self._options = options
        # SIGKILL: of nodes that end together, the last would wait for a quorum that's gone. What
        # was acknowledged is in files by then.
        self._server = Server(f"Kafka (node {number})", folder, signal.SIGKILL)
        self._data = self._server.folder / "data"
        self._configuration = self._server.folder / "server.properties"
        self._ports: NodePorts | None = None

    @property
    def running(self) -> bool:
        """Whether our process lives. If it has ended by itself, `start` it again."""
        return self._server.running

    @property
    def pid(self) -> int | None:
        """The node's process id."""
        return self._server.pid

    @property
    def address(self) -> str:
        """Where clients connect: HOST:PORT."""
        assert self._ports is not None, "start the cluster first"
        return f"127.0.0.1:{self._ports.broker}"

    def prepare(self) -> None:
        """Make the folder, and let a node that was left behind on it end."""
        self._server.prepare()

    def configure(self, ports: Sequence[NodePorts]) -> None:
        """Write down who this node and its peers are, each time before the cluster starts."""
        self._ports = ports[self.number - 1]
        self._configuration.write_text(properties(self.number, ports, self._data))

    @property
    def formatted(self) -> bool:
        """Whether there is data, if only that the node has a cluster."""
        return self._data.exists()

    def format(self, cluster: str) -> None:
        """Make the node's data directory for the cluster of this id.

        Raises:
            ServiceError: If Kafka's tool refuses.
        """
        # Into a folder of its own first, so that a start that is cut off leaves no half of one.
        made = self._server.folder / "initial-data"
        shutil.rmtree(made, ignore_errors=True)
        told = self._server.folder / "format.properties"
        told.write_text(re.sub(r"(?m)^log\.dirs=.*$", f"log.dirs={made}", self._properties()))
        tool = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(told)]
        command = [java.java().path, *_QUICK, "-cp", _jars(), *tool]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ServiceError(f"Kafka's storage can't be made:\n{done.stdout}{done.stderr}")
        made.rename(self._data)

    def format_like(self, other: KafkaNode) -> None:
        """Make the node's data directory from that of a node that has just been formatted."""
        made = self._server.folder / "initial-data"
        shutil.rmtree(made, ignore_errors=True)
        shutil.copytree(other._data, made)
        meta = (made / "meta.properties").read_text()
        meta = re.sub(r"(?m)^node\.id=.*$", f"node.id={self.number}", meta)
        meta = re.sub(r"(?m)^directory\.id=.*$", f"directory.id={kafka_id()}", meta)
        (made / "meta.properties").write_text(meta)
        made.rename(self._data)

    def _properties(self) -> str:
        return self._configuration.read_text()

    def start(self) -> None:
        """Start the node where it was before; return when it takes part in its cluster.

        Raises:
            ServiceError: If it can't run on this folder or machine; its subclasses say why.
        """
        if not self.running:
            self.launch()
            self.wait()

    def launch(self) -> None:
        """Start the process and don't wait."""
        assert self._ports is not None, "start the cluster first"
        for port in (self._ports.broker, self._ports.controller):
            if not is_free(port):
                raise PortTaken(
                    f"Port {port} of 127.0.0.1, which the cluster knows {self._server.name} by, is"
                    " taken: stop who listens there, or stop the whole cluster and start it again."
                )
        options = ["-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true"]
        options += [f"-Dlog4j2.configurationFile={_LOGGING}", "-cp", _jars(), *self._options]
        if (archive := classes()).exists():
            options.append(f"-XX:SharedArchiveFile={archive}")
        command = [java.java().path, *options, "kafka.Kafka", str(self._configuration)]
        self._server.launch(command)

    def wait(self) -> None:
        """Return when the process that was launched takes part in its cluster."""
        self._server.wait_until(lambda: _READY in self._server.log(), _START_S)

    def terminate(self) -> None:
        """Ask the node to hand over and stop; `stop` waits for it."""
        self._server.terminate()

    def stop(self) -> None:
        """Stop the node and wait for its end."""
        self._server.end(_STOP_S)

    def kill(self) -> None:
        """End the node at once, as `kill -9` does."""
        self._server.kill()


def kafka_id() -> str:
    """Return a new id as Kafka writes them: 22 characters of base 64."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    number = uuid4().int
    # No "-" in front, which a tool takes for an option.
    return "A" + "".join(alphabet[number >> 6 * i & 63] for i in range(20)) + "A"


def classes() -> Path:
    """Return where Kafka's classes belong, as this build of Java keeps them in memory.

    A node that maps the file is up in 2 s for 4 s of CPU, instead of 5-8 s for 7; without it, it's
    just slower. `python -m persistence.local` makes it.
    """
    build = hashlib.sha256(java.java().version.encode()).hexdigest()[:16]
    return java.jars("kafka") / f"classes-{build}.jsa"


def _jars() -> str:
    return str(java.jars("kafka") / "*")
