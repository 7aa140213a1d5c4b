"""What GET /shards tells of the processes."""

import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from runtime.describe import living
from runtime.host import Process


@pytest.fixture
def service() -> Iterator[subprocess.Popen]:
    """A process that looks like one of Ray's with a service in it."""
    command = ["ray::_Host", "-c", "print(flush=True); input()"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, executable=sys.executable, **pipes) as process:
        process.stdout.readline()
        yield process
        process.kill()


async def test_a_process_that_was_killed_is_not_shown(service):
    """On our own machine the system knows, whatever the coordinator has heard."""
    peers = SimpleNamespace(here=Process("here", 1))
    known = {"gateway-0": Process("here", service.pid)}
    assert await living(peers, known) == [Process("here", service.pid)]
    service.kill()
    service.wait()
    assert await living(peers, known) == []


@pytest.mark.parametrize(
    ("answer", "shown"),
    [(7, True), (8, False), (TimeoutError(), True), (ConnectionError(), False)],
    ids=["the same", "a later one", "hangs", "dead"],
)
async def test_a_process_elsewhere_is_asked(answer, shown):
    """On another machine a gateway says itself which process it is; one that hangs is still there."""

    async def call(name: str, method: str, timeout: float) -> int:
        assert (name, method) == ("gateway-0", "pid")
        if isinstance(answer, Exception):
            raise answer
        return answer

    peers = SimpleNamespace(here=Process("here", 1), call=call)
    there = Process("there", 7)
    assert await living(peers, {"gateway-0": there}) == ([there] if shown else [])
