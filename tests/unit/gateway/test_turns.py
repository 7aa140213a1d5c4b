"""Dear work takes turns."""

import asyncio

from gateway.turns import Turns


async def test_one_piece_a_turn_in_order_and_others_between():
    """The first is done at once, and before each other one everybody else has had a turn."""
    loop, done = asyncio.get_running_loop(), []
    turns = Turns(loop)
    for n in range(4):
        turns.add(lambda n=n: done.append(n))
    assert done == [0]
    while len(done) < 4:
        before = len(done)
        done_by_others: list[int] = []
        loop.call_soon(done_by_others.append, 1)
        await asyncio.sleep(0)
        assert len(done) <= before + 1
        assert done_by_others
    assert done == [0, 1, 2, 3]


async def test_a_piece_that_fails_keeps_nobody_waiting():
    """The loop hears of the failure; the next piece is done."""
    loop, done, heard = asyncio.get_running_loop(), [], []
    loop.set_exception_handler(lambda _, context: heard.append(context["exception"]))
    turns = Turns(loop)
    turns.add(lambda: done.append(0))
    turns.add(lambda: 1 / 0)
    turns.add(lambda: done.append(2))
    for _ in range(4):
        await asyncio.sleep(0)
    assert done == [0, 2]
    assert [type(error) for error in heard] == [ZeroDivisionError]


async def test_a_piece_may_add_another():
    """It comes in its own turn."""
    turns, done = Turns(asyncio.get_running_loop()), []
    turns.add(lambda: turns.add(lambda: done.append(1)))
    assert done == []
    await asyncio.sleep(0)
    assert done == [1]


async def test_cheap_pieces_share_a_turn_until_it_is_used_up():
    """None is begun in a turn whose share is spent; the next turn has a share of its own."""
    now, done = [0.0], []

    def piece(n: int) -> None:
        now[0] += 0.4
        done.append(n)

    turns = Turns(asyncio.get_running_loop(), 1.0, lambda: now[0])
    for n in range(7):
        turns.add(lambda n=n: piece(n))
    assert done == [0, 1, 2]
    await asyncio.sleep(0)
    assert done == [0, 1, 2, 3, 4, 5]
    await asyncio.sleep(0)
    assert done == [0, 1, 2, 3, 4, 5, 6]
    assert not turns


async def test_what_is_for_later_is_never_done_at_once():
    """Not even as the first of its turn: whoever adds it may be in the midst of something."""
    loop, done = asyncio.get_running_loop(), []
    turns = Turns(loop, 1.0)
    turns.later(lambda: done.append(0))
    turns.later(lambda: done.append(1))
    assert done == []
    turns.add(lambda: done.append(2))
    assert done == []  # behind those that came before it
    await asyncio.sleep(0)
    assert done == [0, 1, 2]
