"""Time, chance and faults of one simulated cluster. Nothing here is real: a seed decides all."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any


class Violation(Exception):  # noqa: N818  (what it is)
    """An invariant doesn't hold."""


class Defect(Violation):
    """Something raised that never should."""


class NotLive(Violation):
    """Nothing wrong was said, but something that should have happened didn't."""


class Weather:
    """What kind of trouble a seed brings. Every kind is missing in some seeds, so each is met pure."""

    def __init__(self, rng: Random) -> None:
        def sometimes(chance: float, most: float) -> float:
            return rng.random() * most if rng.random() < chance else 0.0

        self.mode = "log" if rng.random() < 0.25 else "kafka"
        self.latency = 1.0 + 4.0 * rng.random()
        self.slow = sometimes(0.5, 0.2)
        """Share of messages and requests that take much longer, and so overtake nothing."""
        self.lost = sometimes(0.6, 0.12)
        self.repeated = sometimes(0.5, 0.15)
        self.lost_answers = sometimes(0.7, 0.15)
        self.late = sometimes(0.6, 0.15)
        """Share of requests to a store that land after they were given up."""
        self.refused = sometimes(0.35, 0.25)
        self.danger = sometimes(0.85, 0.5)
        """Chance of a fault at a dangerous moment."""
        self.faults = rng.randrange(7)
        self.clocks = rng.random() < 0.3
        self.outages = rng.random() < 0.7
        """Whether stores go away."""
        self.slow_loads = sometimes(0.4, 700.0)
        """How long it may take to load an outbox, in ms: others may drain it meanwhile."""
        self.outage = 200.0 if rng.random() < 0.6 else 700.0
        """How long Kafka is away at most, in ms."""
        self.expiry = rng.random() < 0.15
        """Whether transactional ids expire."""
        self.cached = self.mode == "kafka" and rng.random() < 0.4
        """Whether there is a Redis."""
        self.decided = rng.random() < 0.3
        """Whether the real coordinator decides, or a simpler and ruder one."""
        self.keeping = 0.02 + 0.3 * rng.random()
        """How often an owner writes behind, as a chance a tick."""
        self.deaf = sometimes(0.4, 0.9)
        """Share of routing tables that a gateway doesn't take."""
        self.offsetless = sometimes(0.15, 0.2)
        """Share of acknowledgements that don't tell the offset."""
        self.moves = rng.random() < 0.6
        """Whether partitions are moved on purpose."""
        self.fault_end = 300.0 + 900.0 * rng.random()


class World:
    """A queue of what happens next, and the seed's dice."""

    def __init__(self, seed: int, trace: bool = False) -> None:
        self.seed = seed
        self.rng = Random(seed)
        self.random = self.rng.random
        self.now = 0.0
        self.weather = Weather(self.rng)
        self.fault_end = self.weather.fault_end
        self.trace: list[str] | None = [] if trace else None
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self.stopped = False

    def at(self, delay: float, call: Callable[..., None], *args: Any) -> None:
        """Call `call(*args)` in `delay` ms."""
        self._count = count = self._count + 1
        heappush(self._queue, (self.now + delay, count, call, args))

    def say(self, text: str) -> None:
        """Put a line in the trace; ask for `trace` before making an expensive one."""
        if self.trace is not None:
            self.trace.append(f"{self.now:9.2f}  {text}")

    @property
    def calm(self) -> bool:
        """Whether faults have stopped for good."""
        return self.now >= self.fault_end

    def latency(self) -> float:
        """How long a message takes now."""
        weather, random = self.weather, self.random
        delay = weather.latency * (0.2 + random())
        if weather.slow and self.now < self.fault_end and random() < weather.slow:
            delay += 150.0 * random()
        return delay

    def send(self, to: Callable[..., None], *args: Any) -> None:
        """Deliver a message over the network: late, out of order, twice or never."""
        if self.now < self.fault_end:
            weather, random = self.weather, self.random
            if weather.lost and random() < weather.lost:
                return
            if weather.repeated and random() < weather.repeated:
                self.at(self.latency() + 60.0 * random(), to, *args)
        self.at(self.latency(), to, *args)

    def run(self, until: float) -> int:
        """Let things happen until `stop` is called, or time is over; return how many did."""
        queue = self._queue
        done = 0
        while queue and not self.stopped:
            moment, _, call, args = heappop(queue)
            if moment > until:
                break
            self.now = moment
            call(*args)
            done += 1
        return done
