"""Questions that are asked together."""

import asyncio

import pytest

from persistence.gathering import Gathering
from persistence.log import Unavailable


class Oracle:
    """Answers a round when it's told to."""

    def __init__(self) -> None:
        self.rounds: list[list[str]] = []
        self.answers: list[asyncio.Future[str]] = []

    async def ask(self, questions):
        self.rounds.append(list(questions))
        self.answers.append(asyncio.get_running_loop().create_future())
        return await self.answers[-1]


async def idle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_comes_during_a_round_is_asked_together_in_the_next():
    """However many ask meanwhile, there's one more round, and each of its questions is in it once."""
    oracle = Oracle()
    gathering = Gathering(oracle.ask)
    first = asyncio.ensure_future(gathering.ask(["a"]))
    await idle()
    later = [asyncio.ensure_future(gathering.ask(each)) for each in (["b", "c"], ["c"], ["a"])]
    await idle()
    assert oracle.rounds == [["a"]]
    oracle.answers[0].set_result("one")
    await idle()
    assert oracle.rounds == [["a"], ["b", "c", "a"]]
    oracle.answers[1].set_result("two")
    assert await first == "one"
    assert await asyncio.gather(*later) == ["two"] * 3


async def test_a_failed_round_is_told_to_all_who_asked_in_it_and_to_nobody_else():
    """An error is the answer of its own round."""
    oracle = Oracle()
    gathering = Gathering(oracle.ask)
    both = [asyncio.ensure_future(gathering.ask([each])) for each in "ab"]
    await idle()
    after = asyncio.ensure_future(gathering.ask(["c"]))
    oracle.answers[0].set_exception(Unavailable("away"))
    await idle()
    oracle.answers[1].set_result("fine")
    for each in both:
        with pytest.raises(Unavailable):
            await each
    assert await after == "fine"


async def test_who_gives_up_takes_the_answer_from_nobody():
    """A round goes on without one of its askers."""
    oracle = Oracle()
    gathering = Gathering(oracle.ask)
    impatient, patient = (asyncio.ensure_future(gathering.ask([each])) for each in "ab")
    await idle()
    impatient.cancel()
    await idle()
    oracle.answers[0].set_result("fine")
    assert await patient == "fine"
