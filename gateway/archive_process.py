"""The archive's consumer beside `gameshard run`: a process that ends with us, and is kept alive."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from persistence.kafka.stores import KafkaSettings
from persistence.local.server import Server, ServiceError, remembered_port

_HOST = "127.0.0.1"
_END_S = 20.0
_PAUSE_S = 5.0
"""One that ends at once, again and again, isn't started more often."""


class ArchiveProcess:
    """`gameshard consume archive`, for the stores of one system."""

    def __init__(
        self, folder: Path, dsn: str, kafka: KafkaSettings, say: Callable[[str], None]
    ) -> None:
        """Consume what is in `kafka`; its log is in `folder`."""
        # Whatever it's at can be cut off: the next one does it, and nothing twice.
        self._server = Server("archive", folder, signal.SIGKILL)
        self._dsn = dsn
        self._kafka = kafka
        self._say = say
        self._port = 0
        self._launched_at = 0.0
        self._trouble = ""

    def start(self) -> None:
        """Launch it. It needn't be waited for: it waits itself for what it needs.

        Raises:
            ServiceError: If another one runs on the folder and doesn't end.
        """
        self._server.prepare()
        self._port = remembered_port(self._server.folder / "port")
        kafka = self._kafka
        options = {
            "--topic": kafka.topic,
            "--replication": str(kafka.replication),
            "--min-insync": str(kafka.min_insync),
            "--metrics-host": _HOST,
            "--metrics-port": str(self._port),
        }
        command = [sys.executable, "-m", "gateway.consume_cli", "archive"]
        stores = {"GAMESHARD_POSTGRES": self._dsn, "GAMESHARD_KAFKA": kafka.servers}
        self._server.launch(
            [*command, *(word for pair in options.items() for word in pair)],
            os.environ | stores | {"PYTHONPATH": _python_path()},
        )
        self._launched_at = monotonic()

    def describe(self) -> dict[str, object]:
        """Return its line of the processes in GET /shards."""
        metrics = f"http://{_HOST}:{self._port}/metrics"
        return {"role": "archive", "pid": self._server.pid, "metrics": metrics}

    def tend(self) -> bool:
        """Start it again if it ended; return whether it's a new process."""
        if self._server.running or monotonic() - self._launched_at < _PAUSE_S:
            return False
        if not self._trouble:
            self._say("the archive again, which had ended")
        try:
            self.start()
        except (ServiceError, OSError) as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._say(f"the archive later: {error}")
            return False
        self._trouble = ""
        return True

    def stop(self) -> None:
        """End it in order."""
        self._say("stopping the archive")
        self._server.end(_END_S)


def _python_path() -> str:
    """Return where the child finds our packages: it works in a folder of its own."""
    ours = str(Path(__file__).resolve().parents[1])
    return os.pathsep.join(filter(None, (ours, os.environ.get("PYTHONPATH"))))
