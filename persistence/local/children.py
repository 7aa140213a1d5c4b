"""Child processes that don't outlive us, whatever ends us."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 10_000
_TRIES = 100


def spawn(
    command: Sequence[str],
    log: Path,
    *,
    user: str | None = None,
    death: signal.Signals = signal.SIGINT,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own; it gets `death` when this process ends.

    Its output goes to the file `log`. It works in `folder`, where `working_in` finds it.
    """
    parent = os.getpid()

    def prepare() -> None:
        # After the change of user, which would clear it.
        _libc.prctl(_PR_SET_PDEATHSIG, death)
        if os.getppid() != parent:
            os._exit(1)

    def keep() -> None:
        try:
            with log.open("ab") as output:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    user=user,
                    start_new_session=True,
                    preexec_fn=prepare,  # noqa: PLW1509  (nothing in it takes a lock)
                    env=environment,
                    cwd=folder,
                )
        except OSError as error:
            started.put(error)
            return
        started.put(process)
        process.wait()

    # The kernel sends `death` when the thread ends that started the child, not the process, so
    # that gets a thread of its own for as long as the child lives, whoever calls.
    started: SimpleQueue[subprocess.Popen[bytes] | OSError] = SimpleQueue()
    threading.Thread(target=keep, name=f"keeper of {command[0]}", daemon=True).start()
    process = started.get()
    if isinstance(process, OSError):
        raise process
    return process


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port that was free a moment ago.

    It isn't one that the kernel gives to outgoing connections: whoever asks a server that's down
    again and again would sooner or later be connected to itself, and keep the server from its port.
    """
    below = int(_EPHEMERAL.read_text().split()[0])
    for _ in range(_TRIES):
        port = _LOWEST + secrets.randbelow(max(1, below - _LOWEST))
        if is_free(port, host):
            return port
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether nobody listens on a TCP port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def working_in(folder: Path) -> list[int]:
    """Return the processes whose working directory is `folder`."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink() == folder:
                    found.append(int(entry.name))
    return found
