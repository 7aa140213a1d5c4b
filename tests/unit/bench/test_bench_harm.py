"""What is done to processes is done to them alone, and undone."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from bench.faults.clocks import make_clocks
from bench.faults.cut import Cut, new_group, open_ports
from bench.faults.filters import drop_ports
from bench.faults.harm import Tools, harm
from bench.faults.victims import NobodyError
from bench.proc import stats

ECHO = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
one, _ = server.accept()
while data := one.recv(9):
    one.sendall(data)
"""
CLOCK = "import time\nwhile input():\n    print(time.time(), time.monotonic(), flush=True)"


def test_the_filter_compares_both_ports() -> None:
    """Two loads, two comparisons a port, and two ends of two instructions of eight bytes each."""
    assert len(drop_ports({80, 443})) == 8 * (2 + 4 + 4)
    assert drop_ports([80]) == drop_ports({80})


@pytest.fixture
def group() -> Iterator[Path]:
    made = new_group(f"bench-test-{os.getpid()}")
    if made is None:
        pytest.skip("cgroups with filters need root and Linux")
    yield made
    made.rmdir()


def test_who_is_cut_off_hears_nothing_until_it_is_over(group: Path) -> None:
    """What is sent meanwhile comes afterwards; nobody can connect meanwhile."""
    born = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs")]
    with subprocess.Popen([*born, sys.executable, "-c", ECHO], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)) as one:
            one.sendall(b"a")
            assert one.recv(9) == b"a"
            assert port in open_ports([process.pid])
            cut = Cut([process.pid], group)
            one.sendall(b"b")
            one.settimeout(0.3)
            with pytest.raises(TimeoutError):
                one.recv(9)
            with pytest.raises(TimeoutError):
                socket.create_connection(("127.0.0.1", port), timeout=0.3)
            cut.undo()
            cut.undo()
            one.settimeout(None)
            assert one.recv(9) == b"b"


def test_a_clock_is_stepped_in_one_process_alone(tmp_path: Path) -> None:
    """The wall clock of one process goes off and comes back; its monotonic clock doesn't."""
    if (clocks := make_clocks(tmp_path)) is None:
        pytest.skip("there's no C compiler")
    with subprocess.Popen(
        [sys.executable, "-c", CLOCK], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, env=os.environ | clocks.environment,
    ) as process:  # fmt: skip

        def ask() -> tuple[float, float]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("?\n")
            process.stdin.flush()
            wall, monotonic = process.stdout.readline().split()
            return float(wall) - time.time(), float(monotonic) - time.monotonic()

        assert all(abs(each) < 60 for each in ask())
        for seconds in (3600.0, -3600.25):
            clocks.step([process.pid], seconds)
            wall, monotonic = ask()
            assert abs(wall - seconds) < 60
            assert abs(monotonic) < 60
        clocks.step([os.getpid()], 3600.0)
        assert abs(ask()[0]) < 60
        assert process.stdin is not None
        process.stdin.write("\n")


def test_who_is_slow_stands_still_and_goes_on_in_the_end() -> None:
    """A slowed process is seen stopped; when it's undone it runs."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        done = harm("slow", [process.pid], Tools(), Random(1))
        while stats()[process.pid].state != "T":
            os.sched_yield()
        done.undo()
        while stats()[process.pid].state == "T":
            os.sched_yield()
        process.kill()


@pytest.mark.parametrize("verb", ["cut", "step"])
def test_what_needs_a_system_of_ours_is_refused_elsewhere(verb: str) -> None:
    """A system that was started without them has no group to cut and no clock to step."""
    with pytest.raises(NobodyError, match="bench faults"):
        harm(verb, [os.getpid()], Tools(), Random(1))
