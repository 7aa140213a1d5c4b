"""Workers in processes of their own: phases, failure, and the parts they are counted in."""

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from bench.crew import Crew, CrewError, Phase
from bench.parts import GENERATOR, Parts, Shards, describe, used
from bench.tally import Tally

LONG = "x" * 5_000_000  # far longer than a pipe's buffer


@dataclass(frozen=True)
class Job:
    """A load that counts its phases by name, or fails where it's told to."""

    fail: str = ""

    def __call__(self) -> "Counting":
        return Counting(self.fail)


class Counting:
    def __init__(self, fail: str) -> None:
        self.tally = Tally()
        self._fail = fail
        self._phases: list[str] = []

    async def prepare(self) -> None:
        self._check("prepare")

    def begin(self, start: float, until: float) -> None:
        self.tally.histogram("work").record(min(until - start, 1.0))

    def enter(self, phase: str) -> None:
        self._check(phase)
        self._phases.append(phase)
        self.tally.counts[phase] += 1

    async def drain(self) -> None:
        await asyncio.sleep(0)
        self.tally.counts["drained"] += 1

    async def finish(self) -> Any:
        return [*self._phases, LONG]

    def _check(self, step: str) -> None:
        if step == self._fail:
            raise RuntimeError(f"told to fail in {step}")


def test_phases_are_counted_apart_and_together() -> None:
    """Each phase has its own counts, summed over the workers, and each worker's result comes back."""
    boundaries: list[str] = []
    with Crew([Job(), Job()]) as crew:
        crew.prepare()
        phases = [Phase("one", 0.05), Phase("two", 0.05)]
        one, two = crew.run(phases, lambda *_: None, boundaries.append)
        assert crew.finish() == [["one", "two", LONG]] * 2
    assert dict(one.tally.counts) == {"one": 2}
    assert dict(two.tally.counts) == {"two": 2, "drained": 2}
    assert boundaries == ["one", "two", ""]


def test_a_phase_without_end_ends_when_its_work_is_done() -> None:
    """An infinite phase lasts until the load has drained."""
    with Crew([Job()]) as crew:
        crew.prepare()
        (only,) = crew.run([Phase("all", float("inf"))], lambda *_: None)
    assert only.tally.counts["drained"] == 1


@pytest.mark.parametrize("step", ["prepare", "one"])
def test_a_failing_worker_is_heard_of(step: str) -> None:
    """A worker's exception ends the run with its text."""

    def run(crew: Crew) -> None:
        crew.prepare()
        crew.run([Phase("one", 5)], lambda *_: None)

    with Crew([Job(), Job(step)]) as crew, pytest.raises(CrewError, match="told to fail"):
        run(crew)


def test_a_part_is_a_process_with_all_its_children() -> None:
    """CPU and memory of a child count for the part that its nearest named ancestor is."""
    code = "sum(range(3_000_000)); print(flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdout.readline()
        named = {"processes": [{"role": "gateway", "pid": child.pid}]}
        parts = Parts(msgspec.convert(named, Shards), [os.getpid()])
        nothing = Parts(Shards(), [os.getpid()]).sample()
        sample = parts.sample(memory=True)
        assert parts.known
        assert sample.pss["gateway"] > 1e6
        assert sample.cpu["gateway"] > 0
        assert GENERATOR in sample.cpu
        assert "gateway" not in nothing.cpu
        empty = type(sample)(0.0)
        figures = describe(used(empty, sample), seconds=1.0, work=1000)
        assert list(figures)[-1] == GENERATOR
        assert figures["gateway"]["us_each"] == pytest.approx(sample.cpu["gateway"] * 1e3, abs=0.1)
    finally:
        child.stdin.close()
        child.stdout.close()
        child.wait()


def test_a_server_elsewhere_has_no_parts() -> None:
    """Pids that are none of this machine's are not taken for the server's."""
    elsewhere = msgspec.convert({"shards": [{"pid": 2**22 + 1}]}, Shards)
    assert not Parts(elsewhere, [os.getpid()]).known
