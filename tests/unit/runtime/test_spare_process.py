"""The process that Ray keeps ready for a service is as good as new."""

import subprocess
import sys

from ray import cloudpickle

from runtime import host

_RUN = """
import pickle, sys
pickle.load(sys.stdin.buffer)()
ours = {"actors", "gateway", "persistence", "runtime"} & {name.partition(".")[0] for name in sys.modules}
sys.exit(f"loaded: {ours}" if ours else 0)
"""


def test_making_it_ready_loads_no_module_of_ours():
    """A service that starts in it later has the modules that are installed by then."""
    task = cloudpickle.dumps(host._nothing()._function)
    done = subprocess.run(
        [sys.executable, "-c", _RUN], input=task, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
