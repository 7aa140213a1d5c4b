"""Requests straight to the brokers of a cluster, which aiokafka has no public call for.

Its client knows who leads what, and connects; what goes over a connection is ours. Everything that
aiokafka or the sockets raise becomes `Unavailable` here, and nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from asyncio import Future
from collections.abc import Generator
from typing import Any, Literal

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from persistence.log import Unavailable

Lane = Literal["append", "read", "ask"]
"""A broker serves a connection's requests one at a time, so what waits has one of its own."""

_ANSWER_S = 3.0
_METADATA_MS = 60_000

# It logs an error for every connection that isn't there, several times a second while Kafka is
# away, and all of it is raised here as well. Whoever wants to read it sets a level of their own.
_chatter = logging.getLogger("aiokafka")
if _chatter.level == logging.NOTSET:
    _chatter.setLevel(logging.CRITICAL)


class Closed(Unavailable):
    """We have hung up ourselves: it's no use to try again."""


@contextlib.contextmanager
def translated(what: str) -> Generator[None]:
    """Raise foreign errors as ours.

    Raises:
        Unavailable: For any of aiokafka's or of the sockets; NotImplementedError is a broker that
            speaks no version that aiokafka does.
    """
    try:
        yield
    except (KafkaError, OSError, EOFError, NotImplementedError) as error:
        raise Unavailable(f"{what}: {error or type(error).__name__}") from error


class Link:
    """One connection to one broker. Requests are answered in their order."""

    def __init__(self, connection: AIOKafkaConnection) -> None:
        """Wrap a connection of `Nodes.link`."""
        self._connection = connection

    @property
    def connected(self) -> bool:
        """Whether it's worth sending."""
        return self._connection.connected()

    def send(self, request: Any) -> Future[Any]:
        """Write `request`; the future's result is the answer, its error that the link broke.

        Cancelling it ignores the answer. Once this has returned, the broker may act on it.

        Raises:
            Unavailable: If the link is broken already.
        """
        with translated("a broker's connection is broken"):
            timed = self._connection.send(request)
            # The coroutine would wait for this future, with a timer of its own for every request.
            timed.close()
            _, _, answer = self._connection._requests[-1]  # noqa: SLF001
            return answer

    def close(self) -> None:
        """Give up: the broker is silent. The futures that wait fail."""
        self._connection.close(reason=CloseReason.CONNECTION_TIMEOUT)


class Nodes:
    """The brokers of one cluster, as far as one topic goes."""

    def __init__(self, servers: str, topic: str, connect_s: float) -> None:
        """Do nothing yet; `refresh` looks for the cluster, `close` ends it."""
        self._topic = topic
        self._connect_s = connect_s
        self._client = AIOKafkaClient(
            bootstrap_servers=servers,
            client_id="gameshard",
            request_timeout_ms=int(1000 * _ANSWER_S),
            metadata_max_age_ms=_METADATA_MS,
        )
        self._refreshing: asyncio.Task[None] | None = None
        self._closed = False

    async def close(self) -> None:
        """Close every connection, and open none any more."""
        self._closed = True
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])
        with contextlib.suppress(Unavailable), translated("closing"):
            await self._client.close()

    # --- who leads ------------------------------------------------------------------------------

    def leader(self, partition: int) -> int | None:
        """Return the broker that leads `partition`, as far as we know."""
        node = self._client.cluster.leader_for_partition(TopicPartition(self._topic, partition))
        return None if node in (None, -1) else node

    def partitions(self) -> int:
        """Return how many partitions the topic has; 0 if there is none."""
        return len(self._client.cluster.partitions_for_topic(self._topic) or ())

    def any_node(self) -> int | None:
        """Return some broker; None if we know none."""
        return self._client.get_random_node()

    async def refresh(self) -> None:
        """Ask who leads now, together with whoever else asks; that nobody answers is no error."""
        if self._closed:
            return
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())
        await asyncio.shield(self._refreshing)

    async def _refresh(self) -> None:
        with contextlib.suppress(Unavailable), translated("metadata"):
            async with asyncio.timeout(_ANSWER_S):
                client = self._client
                if not (client.cluster.brokers() and await client.force_metadata_update()):
                    await client.bootstrap()
                    await client.set_topics([self._topic])
                    await client.force_metadata_update()

    # --- requests -------------------------------------------------------------------------------

    async def link(self, node: int, lane: Lane) -> Link:
        """Return the connection to `node`, a new one if there is none.

        Raises:
            Unavailable: If that's not possible in time. Nothing was sent.
        """
        if self._closed:
            raise Closed("closed")
        group: Any = lane  # aiokafka's own groups are of no use: it's just a part of a key
        with translated(f"no connection to broker {node}"):
            async with asyncio.timeout(self._connect_s):
                connection = await self._client._get_conn(node, group=group)  # noqa: SLF001
        if connection is None:
            raise Unavailable(f"no connection to broker {node}")
        return Link(connection)

    async def ask(self, node: int | None, request: Any, lane: Lane = "ask") -> Any:
        """Send `request` to `node` and return the answer.

        Raises:
            Unavailable: If there is none in time, or no such node is known. Who leads was asked
                again: look before you try again.
        """
        try:
            if node is None:
                raise Unavailable("no broker is known for it")
            return await self._ask(await self.link(node, lane), node, request)
        except Unavailable:
            await self.refresh()
            raise

    @staticmethod
    async def _ask(link: Link, node: int, request: Any) -> Any:
        answer = link.send(request)
        try:
            with translated(f"broker {node}"):
                async with asyncio.timeout(_ANSWER_S):
                    return await answer
        except Unavailable:
            if answer.cancelled():
                link.close()
            raise
