"""Load generators in processes of their own, so that the table on the terminal costs them nothing.

    parent                                worker (uvloop)
    Crew(makes) --------spawn-----------> make() -> Load, await prepare()
          <-------------Ready------------
    run(phases) --------Go--------------> begin(); then for each phase: clear, enter, count
          <-------------Progress x n-----
          <-------------PhaseOver--------
          <-------------Finished---------  await finish()

Both sides reckon in time.perf_counter(), which on Linux is one clock for all processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from time import perf_counter
from typing import Any, NamedTuple, Protocol, Self

import uvloop

from bench.tally import Tally, total

_REPORT_EVERY = 1.0
_START_IN = 0.2


class Load(Protocol):
    """What one worker does. All but `prepare`, `drain` and `finish` must return at once."""

    tally: Tally

    async def prepare(self) -> None:
        """Connect and fetch what is needed; nothing is measured yet."""
        ...

    def begin(self, start: float, until: float) -> None:
        """Start the work at `start`; nothing new after `until` (infinite: till all is done)."""
        ...

    def enter(self, phase: str) -> None:
        """Note that this phase begins."""
        ...

    async def drain(self) -> None:
        """Wait for what is under way, a bounded time; what stays out counts as an error."""
        ...

    async def finish(self) -> Any:
        """Verify, close, and return what the parent shall have."""
        ...


class Phase(NamedTuple):
    """A stretch of the run with counts of its own; `seconds` may be infinite for the last one."""

    name: str
    seconds: float


class Go(NamedTuple):
    """Parent to worker: begin at `start`."""

    start: float
    phases: Sequence[Phase]


class Ready(NamedTuple):
    """Worker to parent: prepared."""


class Progress(NamedTuple):
    """Worker to parent: the counts of the phase so far."""

    tally: Tally


class PhaseOver(NamedTuple):
    """Worker to parent: the counts of a whole phase, which took `seconds`."""

    name: str
    tally: Tally
    seconds: float


class Finished(NamedTuple):
    """Worker to parent: the result of `Load.finish`."""

    result: Any


class Failed(NamedTuple):
    """Worker to parent: it raised; the text is the traceback."""

    text: str


class CrewError(Exception):
    """A worker failed; the text says how."""


@dataclass
class PhaseResult:
    """The counts of one phase over all workers; `seconds` is how long the longest took."""

    name: str
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0


class Crew:
    """The parent's side. Use it as a context manager: at the end no worker is left.

    Args:
        makes: For each worker what makes its load; must be picklable.
        niceness: Added to the workers' nice value.
    """

    def __init__(self, makes: Sequence[Callable[[], Load]], niceness: int = 0) -> None:
        context = multiprocessing.get_context("spawn")
        self._links: list[Connection] = []
        self._processes: list[BaseProcess] = []
        self._results: dict[Connection, Any] = {}
        self._latest: dict[Connection, Tally] = {}
        for make in makes:
            ours, theirs = context.Pipe()
            process = context.Process(target=_worker, args=(theirs, make, niceness), daemon=True)
            process.start()
            theirs.close()
            self._links.append(ours)
            self._processes.append(process)

    @property
    def pids(self) -> list[int]:
        """The workers' process ids."""
        return [process.pid for process in self._processes if process.pid is not None]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join(5)

    def prepare(self, on_wait: Callable[[], None] = lambda: None) -> None:
        """Wait until every worker is prepared; `on_wait` is called now and then.

        Raises:
            CrewError: If one failed.
        """
        ready: set[Connection] = set()
        while len(ready) < len(self._links):
            for link, message in self._messages(0.25):
                if isinstance(message, Ready):
                    ready.add(link)
            on_wait()

    def run(
        self,
        phases: Sequence[Phase],
        on_progress: Callable[[str, Tally], None],
        on_boundary: Callable[[str], None] = lambda _: None,
    ) -> list[PhaseResult]:
        """Run the phases; return their counts.

        `on_progress(phase, counts so far)` is called about once a second, `on_boundary(phase)`
        when each phase begins and, with "", when the last one is over.

        Raises:
            CrewError: If a worker failed.
        """
        self.go(phases)
        boundaries = self._boundaries
        results = {phase.name: PhaseResult(phase.name) for phase in phases}
        over, current = 0, ""
        while over < len(phases) * len(self._links):
            while boundaries and boundaries[0][0] <= perf_counter():
                current = boundaries.pop(0)[1]
                on_boundary(current)
            until = boundaries[0][0] - perf_counter() if boundaries else _REPORT_EVERY
            for link, message in self._messages(max(0.0, min(until, _REPORT_EVERY))):
                if isinstance(message, Progress):
                    self._latest[link] = message.tally
                elif isinstance(message, PhaseOver):
                    over += 1
                    results[message.name].tally.add(message.tally)
                    results[message.name].seconds = max(
                        results[message.name].seconds, message.seconds
                    )
            on_progress(current, total(self._latest.values()))
        if boundaries:
            on_boundary("")
        return list(results.values())

    def go(self, phases: Sequence[Phase]) -> None:
        """Only send the workers on their way (what `run` begins with)."""
        start = perf_counter() + _START_IN
        self._boundaries: list[tuple[float, str]] = []
        at = start
        for phase in phases:
            self._boundaries.append((at, phase.name))
            at += phase.seconds
        self._boundaries.append((at, ""))
        for link in self._links:
            link.send(Go(start, phases))

    def finish(self) -> list[Any]:
        """Wait for every worker's end; return what their loads returned.

        Raises:
            CrewError: If one failed.
        """
        while len(self._results) < len(self._links):
            for _ in self._messages(1.0):
                pass
        return [self._results[link] for link in self._links]

    def _messages(self, timeout: float) -> Iterator[tuple[Connection, Any]]:
        for link in wait([link for link in self._links if link not in self._results], timeout):
            assert isinstance(link, Connection)
            try:
                message = link.recv()
            except (EOFError, OSError) as error:
                raise CrewError(f"a load generator died: {error!r}") from error
            if isinstance(message, Failed):
                raise CrewError(message.text)
            if isinstance(message, Finished):
                self._results[link] = message.result
            yield link, message


def _worker(link: Connection, make: Callable[[], Load], niceness: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    os.nice(niceness)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_work(link, make))
    except BaseException:  # noqa: BLE001 -- whatever it is, the parent must hear of it
        with contextlib.suppress(OSError):
            link.send(Failed(traceback.format_exc()))
        sys.exit(1)


async def _work(link: Connection, make: Callable[[], Load]) -> None:
    ordered: asyncio.Future[Go] = asyncio.get_running_loop().create_future()
    threading.Thread(target=_hear, args=(link, ordered), daemon=True).start()
    load = make()
    await load.prepare()
    gc.collect()
    gc.freeze()  # what lives now lives to the end: don't walk it again and again
    link.send(Ready())
    go = await ordered
    await asyncio.sleep(max(0.0, go.start - perf_counter()))
    load.begin(go.start, go.start + sum(phase.seconds for phase in go.phases))
    end = go.start
    for number, phase in enumerate(go.phases, 1):
        began, end = end, end + phase.seconds
        load.tally.clear()
        load.enter(phase.name)
        await _count(link, load, end, last=number == len(go.phases))
        over = perf_counter() if math.isinf(end) else end
        link.send(PhaseOver(phase.name, load.tally, over - began))
    link.send(Finished(await load.finish()))


async def _count(link: Connection, load: Load, end: float, *, last: bool) -> None:
    draining: asyncio.Task[None] | None = None
    while True:
        now = perf_counter()
        if draining is None and last and (now >= end or math.isinf(end)):
            draining = asyncio.ensure_future(load.drain())
        if (now >= end and not last) or (draining is not None and draining.done()):
            break
        pause = min(_REPORT_EVERY, max(0.0, end - now)) if draining is None else _REPORT_EVERY
        if draining is None:
            await asyncio.sleep(pause)
        else:
            await asyncio.wait([draining], timeout=pause)
        link.send(Progress(load.tally))
    if draining is not None:
        draining.result()


def _hear(link: Connection, ordered: asyncio.Future[Go]) -> None:
    """Wait for the order to go, then for the parent's end.

    A thread, because a loop's reader makes the pipe non-blocking, and then a long message is cut.
    """
    try:
        order: Go = link.recv()
        ordered.get_loop().call_soon_threadsafe(ordered.set_result, order)
        link.recv()
    except EOFError:
        os._exit(1)  # the parent is gone
