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


async def test_whose_command_is_on_its_way_goes_first_and_once():
    """A game that is hurried is asked for at once, if there's an owner, and not again in its turn."""
    asked: list[list[str]] = []
    owned = False

    def ask(_, games):
        if owned:
            asked.append(list(games))
        return owned

    resync = Resync(ask)
    resync.add(0, ["a", "b", "c"])
    resync.hurry(0, "b")
    assert asked == []
    assert resync.behind
    owned = True
    resync.hurry(0, "b")
    resync.hurry(0, "b")
    resync.hurry(1, "b")
    assert asked == [["b"]]
    while resync.behind:
        await asyncio.sleep(0.001)
    assert asked == [["b"], ["a", "c"]]
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
