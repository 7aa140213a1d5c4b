"""Brings batches to whoever leads their partition, and brings back what became of them."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections import deque

from msgspec import Struct

from persistence.kafka.lane import Batch, Lane
from persistence.kafka.nodes import Nodes
from persistence.kafka.outcomes import Acked, Outcome, Refused, Unknown
from persistence.log import LogError

_LOOK_S = 0.05
_FIRST_PAUSE_S = 0.02
_LAST_PAUSE_S = 0.25


class BufferFull(LogError):  # noqa: N818  (as the family's others)
    """More bytes wait for their acknowledgement than may; nothing of this batch was taken."""

    def __init__(self, waiting: int, bound: int) -> None:
        super().__init__(f"{waiting} bytes wait for Kafka; {bound} may")
        self.waiting = waiting
        self.bound = bound


class Bounds(Struct, frozen=True):
    """As `brokers.Settings` has them."""

    append_s: float
    buffer_bytes: int
    batch_bytes: int
    in_flight: int


class Delivery:
    """Every batch gets its outcome within `append_s`, give or take a look at the clock.

    fresh --route--> lane of the leader --> answer --> settled
               |           no leader, or an answer that settles nothing
               +--<-- stranded: a pause, who leads now?
    """

    def __init__(self, nodes: Nodes, topic: str, bounds: Bounds) -> None:
        """Start with the first batch; call `close` at the end."""
        self._nodes = nodes
        self._topic = topic
        self._bounds = bounds
        self._loop = asyncio.get_running_loop()
        self._lanes: dict[int, Lane] = {}
        self._fresh: list[Batch] = []
        self._stranded: list[Batch] = []
        self._finding: asyncio.Task[None] | None = None
        self._pause = _FIRST_PAUSE_S
        self._pending: deque[Batch] = deque()  # in the order of their deadlines
        self._ticking = False
        self._closed = False
        self.waiting_bytes = 0
        """Of all batches without an outcome."""
        self.overflows = 0
        """How often there was no room."""

    def take(self, partition: int, data: bytes) -> Future[Outcome]:
        """Deliver a batch, together with all others of this turn of the loop.

        Raises:
            BufferFull: If too much waits.
        """
        future: Future[Outcome] = self._loop.create_future()
        if self._closed:
            future.set_result(Unknown("closed"))
        elif len(data) > self._bounds.batch_bytes:
            future.set_result(Refused(f"{len(data)} bytes; a batch has {self._bounds.batch_bytes}"))
        elif self.waiting_bytes + len(data) > self._bounds.buffer_bytes:
            self.overflows += 1
            raise BufferFull(self.waiting_bytes, self._bounds.buffer_bytes)
        else:
            deadline = self._loop.time() + self._bounds.append_s
            self._admit(Batch(partition, data, deadline, future))
        return future

    def _admit(self, batch: Batch) -> None:
        self.waiting_bytes += batch.size
        self._pending.append(batch)
        if not self._fresh:
            self._loop.call_soon(self._turn)
        self._fresh.append(batch)
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(_LOOK_S, self._tick)

    def _turn(self) -> None:
        batches, self._fresh = self._fresh, []
        self._route(batches)

    def _route(self, batches: list[Batch]) -> None:
        touched: dict[int, Lane] = {}
        for batch in batches:
            if batch.future.done():
                continue
            node = self._nodes.leader(batch.partition)
            if node is None:
                self.again(batch, doubtful=False)
                continue
            lane = touched[node] = self._lane(node)
            lane.put(batch)
        for lane in touched.values():
            lane.pump(self)

    def _lane(self, node: int) -> Lane:
        lane = self._lanes.get(node)
        if lane is None:
            wait_ms = int(1000 * self._bounds.append_s * 2 / 3)  # leave the answer time to travel
            lane = Lane(self._nodes, node, self._topic, self._bounds.in_flight, wait_ms)
            self._lanes[node] = lane
        return lane

    # --- what became of them ----------------------------------------------------------------------

    def settle(self, batch: Batch, outcome: Outcome) -> None:
        """Give the batch its outcome, the first one it gets."""
        if batch.data:
            self.waiting_bytes -= batch.size
            batch.data = b""
        if isinstance(outcome, Acked):
            self._pause = _FIRST_PAUSE_S
        if not batch.future.done():
            batch.future.set_result(outcome)

    def again(self, batch: Batch, *, doubtful: bool) -> None:
        """Try the batch again after a pause, under the same identity, with whoever leads then."""
        batch.doubted |= doubtful
        self._stranded.append(batch)
        if self._finding is None and not self._closed:
            self._finding = asyncio.create_task(self._find())

    async def _find(self) -> None:
        try:
            while self._stranded:
                await asyncio.sleep(self._pause)
                self._pause = min(2 * self._pause, _LAST_PAUSE_S)
                await self._nodes.refresh()
                stranded, self._stranded = self._stranded, []
                self._route(stranded)
        finally:
            self._finding = None

    # --- the clock --------------------------------------------------------------------------------

    def _tick(self) -> None:
        now = self._loop.time()
        pending = self._pending
        while pending and (pending[0].future.done() or pending[0].deadline <= now):
            self.settle(pending.popleft(), Unknown(f"no answer in {self._bounds.append_s} s"))
        for lane in self._lanes.values():
            lane.look(now, self._bounds.append_s)
        self._stranded = [batch for batch in self._stranded if not batch.future.done()]
        busy = pending or any(lane.busy for lane in self._lanes.values())
        self._ticking = bool(busy) and not self._closed
        if self._ticking:
            self._loop.call_later(_LOOK_S, self._tick)

    async def close(self) -> None:
        """Settle everything as `Unknown`."""
        self._closed = True
        while self._pending:
            self.settle(self._pending.popleft(), Unknown("closed"))
        for lane in self._lanes.values():
            lane.close()
        if self._finding is not None:
            self._finding.cancel()
            await asyncio.wait([self._finding])
