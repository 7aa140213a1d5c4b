"""Watches taken up again after a take-over."""

import asyncio

from runtime.resync import SLICE, Resync


async def test_who_lost_its_games_is_not_waited_for():
    """An owner that says nothing doesn't hold up the next one's watches, nor another partition's."""
    asked: list[tuple[int, list[str]]] = []
    both = asyncio.Event()

    def ask(partition, games):
        asked.append((partition, list(games)))
        if len(asked) == 3:
            both.set()
        return True

    resync = Resync(ask)
    resync.add(0, ["a"])
    while not asked:
        await asyncio.sleep(0)
    await asyncio.sleep(0)  # all are asked for: it only looks after overdue answers from now on
    loop = asyncio.get_running_loop()
    overdue = loop.create_future()
    loop.call_later(0.9, overdue.set_result, None)  # before it would look after them
    resync.add(0, ["a"])
    resync.add(1, ["b"])
    waiting = asyncio.ensure_future(both.wait())
    await asyncio.wait([waiting, overdue], return_when=asyncio.FIRST_COMPLETED)
    assert asked == [(0, ["a"]), (0, ["a"]), (1, ["b"])]
    waiting.cancel()
    overdue.cancel()
    resync.close()


async def test_many_are_asked_for_in_slices():
    """However many are added in between, no turn asks for more than a slice."""
    turns: list[int] = []
    done = asyncio.Event()

    def ask(_, games):
        turns.append(len(games))
        if sum(turns) == 3 * SLICE:
            done.set()
        return True

    resync = Resync(ask)
    resync.add(0, [f"a{n}" for n in range(2 * SLICE)])
    while not turns:
        await asyncio.sleep(0)
    resync.add(1, [f"b{n}" for n in range(SLICE)])
    async with asyncio.timeout(5):
        await done.wait()
    assert turns == [SLICE] * 3
    resync.close()
