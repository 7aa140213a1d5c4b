"""Makes the topic, or makes sure that it's the one."""

from __future__ import annotations

from functools import partial

from persistence.kafka import wire
from persistence.kafka.nodes import Nodes
from persistence.kafka.patience import patiently
from persistence.log import LogError, Unavailable

_EXISTS = 36
_WAIT_MS = 2000


class WrongTopic(LogError):  # noqa: N818  (as the family's others)
    """The topic exists, and with another number of partitions: games would change theirs."""

    def __init__(self, topic: str, partitions: int, wanted: int) -> None:
        super().__init__(
            f"topic {topic} has {partitions} partitions, not {wanted}: a game's partition follows"
            " from their number, so it can't be changed"
        )
        self.topic = topic
        self.partitions = partitions
        self.wanted = wanted


class Topic:
    """The topic as it should be."""

    def __init__(
        self, name: str, partitions: int, replication: int, settings: dict[str, str]
    ) -> None:
        """`settings` are Kafka's own, for a topic that's made."""
        self._name = name
        self._partitions = partitions
        self._replication = replication
        self._settings = settings

    async def ensure(self, nodes: Nodes, seconds: float) -> None:
        """See `brokers.Brokers.ensure_topic`."""
        name = f"topic {self._name}"
        await patiently(seconds, name, partial(self._make, nodes))
        await patiently(seconds, name, partial(self._look, nodes))

    async def _make(self, nodes: Nodes) -> None:
        await nodes.refresh()
        if nodes.partitions():
            return
        request = wire.create_topic(
            self._name, self._partitions, self._replication, self._settings, _WAIT_MS
        )
        code, message = wire.created(await nodes.ask(nodes.any_node(), request))
        if code not in (0, _EXISTS):
            raise Unavailable(message)

    async def _look(self, nodes: Nodes) -> None:
        await nodes.refresh()
        found = nodes.partitions()
        if found and found != self._partitions:
            raise WrongTopic(self._name, found, self._partitions)
        if not found or any(nodes.leader(p) is None for p in range(found)):
            raise Unavailable("not every partition has a leader yet")
