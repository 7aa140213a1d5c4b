"""The way to one broker: batches wait here while its requests are under way."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from persistence.kafka.nodes import Link, Nodes
from persistence.kafka.outcomes import Again, Outcome, Unknown, judge
from persistence.kafka.produce import Produce, Told
from persistence.log import Unavailable

_REQUEST_BYTES = 32 << 20  # brokers take 100 MB


class Batch:
    """A batch on its way. `doubted`: a try of it may have landed."""

    __slots__ = ("data", "deadline", "doubted", "future", "partition", "size")

    def __init__(
        self, partition: int, data: bytes, deadline: float, future: Future[Outcome]
    ) -> None:
        self.partition = partition
        self.data = data
        self.size = len(data)
        self.deadline = deadline
        self.future = future
        self.doubted = False


class _Request:
    """A request under way: one batch a partition, as the broker asks."""

    __slots__ = ("batches", "sent_at")

    def __init__(self, batches: Sequence[Batch], sent_at: float) -> None:
        self.batches = {batch.partition: batch for batch in batches}
        self.sent_at = sent_at


class Sender(Protocol):
    """Who gave the batches, and hears what became of each."""

    def settle(self, batch: Batch, outcome: Outcome) -> None:
        """The batch has its outcome."""
        ...

    def again(self, batch: Batch, *, doubtful: bool) -> None:
        """The batch has none; this broker doesn't help it any more just now."""
        ...


class Lane:
    """What goes to broker `node`, at most `in_flight` requests at a time.

    A broker serves one request of a connection after the other, so more would only wait there,
    in smaller pieces.
    """

    def __init__(self, nodes: Nodes, node: int, topic: str, in_flight: int, wait_ms: int) -> None:
        """`wait_ms` is how long the broker may wait for its replicas."""
        self._nodes = nodes
        self._node = node
        self._topic = topic
        self._in_flight = in_flight
        self._wait_ms = wait_ms
        self._link: Link | None = None
        self._linking: asyncio.Task[None] | None = None
        self._waiting: deque[Batch] = deque()
        self._requests: deque[_Request] = deque()
        self._loop = asyncio.get_running_loop()
        self._heard_at = 0.0

    def put(self, batch: Batch) -> None:
        """Let `batch` go with the next request; call `pump` after the last of a turn."""
        self._waiting.append(batch)

    @property
    def busy(self) -> bool:
        """Whether requests are under way."""
        return bool(self._requests)

    def pump(self, sender: Sender) -> None:
        """Send what may be sent."""
        while self._waiting and len(self._requests) < self._in_flight:
            if self._link is None or not self._link.connected:
                self._connect(sender)
                return
            self._send(self._link, self._take(), sender)

    def _take(self) -> list[Batch]:
        """Take one batch a partition, as far as they fit in a request."""
        taken: dict[int, Batch] = {}
        left: list[Batch] = []
        size = 0
        while self._waiting:
            batch = self._waiting.popleft()
            if batch.future.done():
                continue
            if batch.partition in taken or (size and size + batch.size > _REQUEST_BYTES):
                left.append(batch)
            else:
                taken[batch.partition] = batch
                size += batch.size
        self._waiting.extend(left)
        return list(taken.values())

    def _send(self, link: Link, batches: Sequence[Batch], sender: Sender) -> None:
        if not batches:
            return
        pieces = [(batch.partition, batch.data) for batch in batches]
        try:
            answer = link.send(Produce(self._topic, pieces, self._wait_ms))
        except Unavailable as error:  # some of it may be in the socket
            for batch in batches:
                sender.settle(batch, Unknown(str(error)))
            return
        request = _Request(batches, self._loop.time())
        self._requests.append(request)
        answer.add_done_callback(partial(self._answered, request, sender))

    def _answered(self, request: _Request, sender: Sender, answer: Future[Any]) -> None:
        self._requests.remove(request)
        self._heard_at = self._loop.time()
        error = answer.exception()  # nobody cancels it
        if error is None:
            self._judge(request, answer.result(), sender)
        for batch in request.batches.values():
            reason = "left out of the answer" if error is None else f"no answer: {error}"
            sender.settle(batch, Unknown(reason))
        self.pump(sender)

    @staticmethod
    def _judge(request: _Request, answer: Sequence[Told], sender: Sender) -> None:
        """Take out of `request` what the broker has said something of."""
        for partition, code, offset in answer:
            batch = request.batches.pop(partition, None)
            if batch is None:
                continue
            verdict = judge(code, offset, doubted=batch.doubted)
            if isinstance(verdict, Again):
                sender.again(batch, doubtful=verdict.doubtful)
            else:
                sender.settle(batch, verdict)

    # --- the connection -------------------------------------------------------------------------

    def _connect(self, sender: Sender) -> None:
        if self._linking is None:
            self._linking = asyncio.create_task(self._connecting(sender))

    async def _connecting(self, sender: Sender) -> None:
        try:
            self._link = await self._nodes.link(self._node, "append")
        except Unavailable:
            waiting, self._waiting = self._waiting, deque()
            for batch in waiting:
                sender.again(batch, doubtful=False)
        finally:
            self._linking = None
        self.pump(sender)

    def look(self, now: float, patience: float) -> None:
        """Hang up if the broker owes an answer and has been silent for `patience` seconds."""
        if self._link is None or not self._requests:
            return
        if now - max(self._heard_at, self._requests[0].sent_at) > patience:
            self._link.close()

    def close(self) -> None:
        """Send and connect no more."""
        self._waiting.clear()
        if self._linking is not None:
            self._linking.cancel()
