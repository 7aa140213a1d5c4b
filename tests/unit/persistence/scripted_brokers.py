"""Brokers that answer what a test says, in the place of `persistence.kafka.nodes`."""

import asyncio

from persistence.log import Unavailable


class Sent:
    """A request under way."""

    def __init__(self, request) -> None:
        self.batches = dict(request.batches)
        self.future = asyncio.get_running_loop().create_future()

    def answer(self, *results: tuple[int, int, int]) -> None:
        """Say (partition, code, offset) each."""
        self.future.set_result(results)


class ScriptedLink:
    """A connection to one broker."""

    def __init__(self) -> None:
        self.connected = True
        self.sent: list[Sent] = []
        self.broken_when_sending = False

    def send(self, request):
        if self.broken_when_sending:
            raise Unavailable("broken")
        self.sent.append(Sent(request))
        return self.sent[-1].future

    def close(self) -> None:
        self.connected = False
        for sent in self.sent:
            if not sent.future.done():
                sent.future.set_exception(Unavailable("closed"))


class ScriptedNodes:
    """A cluster: who leads, and to whom there is a connection."""

    def __init__(self) -> None:
        self.leaders: dict[int, int] = {}
        self.refused: set[int] = set()
        self.links: dict[int, ScriptedLink] = {}
        self.refreshed = 0
        self.when_refreshed = lambda: None

    def leader(self, partition: int):
        return self.leaders.get(partition)

    async def refresh(self) -> None:
        self.refreshed += 1
        self.when_refreshed()

    async def link(self, node: int, lane: str) -> ScriptedLink:
        assert lane == "append"
        if node in self.refused:
            raise Unavailable("refused")
        if node not in self.links or not self.links[node].connected:
            self.links[node] = ScriptedLink()
        return self.links[node]

    async def sent(self, node: int, number: int) -> Sent:
        """Return request `number` (from 0) to `node`, once it's made."""
        while node not in self.links or len(self.links[node].sent) <= number:
            await asyncio.sleep(0)
        return self.links[node].sent[number]
