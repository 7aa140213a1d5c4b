"""A parent that starts a service and is killed: for tests of what becomes of its children."""

import subprocess
import sys
from pathlib import Path

PARENT = """
import importlib, os, signal, sys
from pathlib import Path
module, name, folder = sys.argv[1:]
server = getattr(importlib.import_module(module), name)(Path(folder))
server.start()
print(server.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def orphan_of(kind: type, folder: Path) -> int:
    """Return the process id of a service of `kind` whose parent was killed with kill -9."""
    command = [sys.executable, "-c", PARENT, kind.__module__, kind.__name__, str(folder)]
    return int(subprocess.run(command, capture_output=True, text=True, check=False).stdout)


def lives(pid: int) -> bool:
    """Whether there's such a process, other than one that waits to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
