"""Games that are read from the store."""

import asyncio

from runtime.saving import Loader


class Store:
    """Answers everybody at once, when it's told to."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.answers = asyncio.Event()

    async def load(self, games):
        self.asked.append(len(games))
        await self.answers.wait()
        return {}


async def test_however_many_are_answered_at_once_others_get_their_turn():
    """No turn of the loop brings more than a few games to life."""
    store, found = Store(), []
    loader = Loader(store)
    for batch in range(10):
        for number in range(20):
            loader.load(f"g{batch}-{number}", found.append)
        await asyncio.sleep(0)
    while len(store.asked) < 10:
        await asyncio.sleep(0)
    assert store.asked == [20] * 10
    store.answers.set()
    most = before = 0
    async with asyncio.timeout(5):
        while len(found) < 200:
            await asyncio.sleep(0)
            most, before = max(most, len(found) - before), len(found)
    assert most <= 25
