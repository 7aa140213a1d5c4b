"""A local schema registry: Apicurio, which speaks Confluent's protocol.

It keeps its schemas and their ids in a file: records in the log name the ids for good.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from persistence.local import java
from persistence.local.server import Server, remembered_port

VERSION = java.version("registry")
COMPATIBLE = "/apis/ccompat/v7"
"""Where Confluent's protocol is spoken."""

_START_S = 120.0
_STOP_S = 10.0


class LocalRegistry:
    """One registry on one folder."""

    def __init__(self, folder: Path, progress: Callable[[str], None] = lambda _: None) -> None:
        """Keep everything under `folder`, which is made if it's missing.

        `progress` is told what takes its time, in a few words.
        """
        self._progress = progress
        self._server = Server("the schema registry", folder, signal.SIGTERM)
        self.port = 0

    @property
    def running(self) -> bool:
        """Whether our process lives. If it has ended by itself, `start` it again."""
        return self._server.running

    @property
    def pid(self) -> int | None:
        """The registry's process id."""
        return self._server.pid

    @property
    def address(self) -> str:
        """Where it listens: HOST:PORT."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """What clients of Confluent's registry are given."""
        return f"http://{self.address}{COMPATIBLE}"

    def start(self) -> None:
        """Start the registry on the port of the last time, if it's free; return when it answers.

        Raises:
            ServiceError: If it can't run on this folder or machine; its subclasses say why.
        """
        if self.running:
            return
        command = [java.java().path, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        application = next(java.jars("registry").glob("*-runner.jar"))
        self._progress("starting the schema registry")
        self._server.prepare()
        self.port = remembered_port(self._server.folder / "port")
        # Without a delay, a schema is in the file when its id is told.
        database = f"jdbc:h2:file:{self._server.folder}/registry;WRITE_DELAY=0"
        settings = {
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": str(self.port),
            "quarkus.datasource.jdbc.url": database,
            "quarkus.datasource.jdbc.initial-size": "2",
            "quarkus.datasource.jdbc.min-size": "2",
            "quarkus.datasource.jdbc.max-size": "10",
        }
        command += [f"-D{name}={value}" for name, value in settings.items()]
        self._server.launch([*command, "-jar", str(application)])
        self._server.wait_until(self._answers, _START_S)

    def _answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.suppress(OSError, HTTPException), contextlib.closing(connection):
            connection.request("GET", f"{COMPATIBLE}/subjects")
            return connection.getresponse().status == HTTPStatus.OK
        return False

    def stop(self) -> None:
        """Stop the registry and wait for its end."""
        self._server.end(_STOP_S)
