"""The way of batches to brokers that fail in every way."""

import asyncio
import contextlib

import pytest
from scripted_brokers import ScriptedNodes

from persistence.kafka.delivery import Bounds, BufferFull, Delivery
from persistence.kafka.outcomes import Acked, Fenced, Refused, Unknown

BOUNDS = Bounds(append_s=30.0, buffer_bytes=1000, batch_bytes=400, in_flight=2)
SHORT = Bounds(append_s=0.2, buffer_bytes=1000, batch_bytes=400, in_flight=2)


@contextlib.asynccontextmanager
async def delivering(bounds=BOUNDS, **leaders):
    nodes = ScriptedNodes()
    nodes.leaders = {int(name[1:]): node for name, node in leaders.items()} or {0: 1, 1: 1, 2: 1}
    delivery = Delivery(nodes, "topic", bounds)
    try:
        yield nodes, delivery
    finally:
        await delivery.close()
        assert delivery.waiting_bytes == 0


async def test_what_a_turn_produces_for_a_broker_goes_in_one_request():
    """Batches of partitions with one leader travel together, in as few requests as there are leaders."""
    async with delivering(p0=1, p1=2, p2=1) as (nodes, delivery):
        outcomes = [delivery.take(p, b"batch%d" % p) for p in range(3)]
        first, second = await nodes.sent(1, 0), await nodes.sent(2, 0)
        assert first.batches == {0: b"batch0", 2: b"batch2"}
        assert second.batches == {1: b"batch1"}
        first.answer((2, 0, 20), (0, 0, 10))
        second.answer((1, 46, -1))
        assert await asyncio.gather(*outcomes) == [Acked(10), Acked(None), Acked(20)]


async def test_while_a_broker_is_busy_batches_wait_and_go_together():
    """At most `in_flight` requests are under way to a broker; what is produced meanwhile is one."""
    async with delivering() as (nodes, delivery):
        outcomes = []
        for p in range(3):
            outcomes.append(delivery.take(p, b"a"))
            if p < 2:
                await nodes.sent(1, p)
        outcomes.append(delivery.take(0, b"b"))
        outcomes.append(delivery.take(0, b"c"))  # (of one partition, not two in one request)
        await asyncio.sleep(0)
        assert len(nodes.links[1].sent) == 2
        (await nodes.sent(1, 0)).answer((0, 0, 0))
        third = await nodes.sent(1, 2)
        assert third.batches == {2: b"a", 0: b"b"}
        (await nodes.sent(1, 1)).answer((1, 0, 1))
        assert (await nodes.sent(1, 3)).batches == {0: b"c"}


@pytest.mark.parametrize("code", [3, 6, 7, 19, 20, 45, 56, -1, 999])
async def test_what_settles_nothing_is_tried_again_with_whoever_leads_then(code):
    """The same bytes go to the new leader, after a look at who that is."""
    async with delivering() as (nodes, delivery):
        outcome = delivery.take(0, b"batch")
        nodes.when_refreshed = lambda: nodes.leaders.update({0: 2})
        (await nodes.sent(1, 0)).answer((0, code, -1))
        again = await nodes.sent(2, 0)
        assert again.batches == {0: b"batch"}
        again.answer((0, 0, 7))
        assert await outcome == Acked(7)


@pytest.mark.parametrize(
    ("before", "outcome"),
    [
        ([], Refused("MESSAGE_TOO_LARGE")),
        ([19, 2], Refused("MESSAGE_TOO_LARGE")),
        ([6], Unknown("MESSAGE_TOO_LARGE, but an earlier try may have landed")),
        ([20, 19], Unknown("MESSAGE_TOO_LARGE, but an earlier try may have landed")),
    ],
)
async def test_a_refusal_proves_nothing_once_a_try_may_have_landed(before, outcome):
    """`Refused` is said only of a batch of which every try surely took nothing."""
    async with delivering() as (nodes, delivery):
        told = delivery.take(0, b"batch")
        for number, code in enumerate([*before, 10]):
            (await nodes.sent(1, number)).answer((0, code, -1))
        assert await told == outcome


@pytest.mark.parametrize("code", [47, 90])
async def test_a_newer_epoch_is_told_at_once(code):
    """Both codes say that somebody else has claimed, and nothing is tried again."""
    async with delivering() as (nodes, delivery):
        told = delivery.take(0, b"batch")
        (await nodes.sent(1, 0)).answer((0, code, -1))
        assert await told == Fenced()
        assert nodes.refreshed == 0


async def test_a_lost_connection_leaves_everything_open_that_was_sent():
    """What was under way is `Unknown` at once; what waited goes over the next connection."""
    async with delivering() as (nodes, delivery):
        gone = []
        for p in range(2):
            gone.append(delivery.take(p, b"a"))
            await nodes.sent(1, p)
        waits = delivery.take(2, b"b")
        await asyncio.sleep(0)
        lost = nodes.links[1]
        lost.close()
        assert await asyncio.gather(*gone) == [Unknown("no answer: closed")] * 2
        while nodes.links[1] is lost:
            await asyncio.sleep(0)
        (await nodes.sent(1, 0)).answer((2, 0, 3))
        assert await waits == Acked(3)


async def test_a_connection_that_breaks_while_sending_leaves_it_open():
    """Some of the bytes may have gone out: not knowing is the only honest answer."""
    async with delivering() as (nodes, delivery):
        (await nodes.link(1, "append")).broken_when_sending = True
        assert await delivery.take(0, b"batch") == Unknown("broken")


async def test_a_refused_connection_is_tried_until_it_is_there():
    """Nothing was sent, so nothing is in doubt: the batch lands when the broker is back."""
    async with delivering() as (nodes, delivery):
        nodes.refused = {1}
        told = delivery.take(0, b"batch")

        def back_after_three() -> None:
            if nodes.refreshed == 3:
                nodes.refused = set()

        nodes.when_refreshed = back_after_three
        (await nodes.sent(1, 0)).answer((0, 10, -1))
        assert await told == Refused("MESSAGE_TOO_LARGE")
        assert nodes.refreshed == 3


async def test_a_batch_without_a_leader_waits_for_one():
    """Who leads is asked until somebody does."""
    async with delivering(p1=1) as (nodes, delivery):
        told = delivery.take(0, b"batch")
        nodes.when_refreshed = lambda: nodes.leaders.update({0: 1})
        (await nodes.sent(1, 0)).answer((0, 0, 0))
        assert await told == Acked(0)


@pytest.mark.parametrize("leaders", [{"p1": 1}, {"p0": 1}])
async def test_every_batch_has_its_outcome_in_time(leaders):
    """Without a leader, or without an answer: after `append_s` it's `Unknown`."""
    async with delivering(SHORT, **leaders) as (_, delivery):
        assert await delivery.take(0, b"batch") == Unknown("no answer in 0.2 s")
        assert delivery.waiting_bytes == 0


async def test_a_silent_broker_is_hung_up_on():
    """It owes an answer for `append_s`: the next batch, and no older one, gets a new connection."""
    async with delivering(SHORT) as (nodes, delivery):
        silent = []
        for p in range(3):  # (the third waits)
            silent.append(delivery.take(p, b"a"))
            await nodes.sent(1, min(p, 1))
        link = nodes.links[1]
        assert await asyncio.gather(*silent) == [Unknown("no answer in 0.2 s")] * 3
        while link.connected:
            await asyncio.sleep(0)
        told = delivery.take(0, b"b")
        while nodes.links[1] is link:
            await asyncio.sleep(0)
        sent = await nodes.sent(1, 0)
        assert sent.batches == {0: b"b"}
        sent.answer((0, 0, 0))
        assert await told == Acked(0)


async def test_an_answer_without_the_partition_settles_nothing():
    """A broker that leaves a batch out of its answer hasn't said that it took nothing."""
    async with delivering() as (nodes, delivery):
        told = delivery.take(0, b"batch")
        (await nodes.sent(1, 0)).answer((1, 0, 0))
        assert await told == Unknown("left out of the answer")


async def test_there_is_a_bound_to_what_waits():
    """A batch that doesn't fit is refused with a named error; settled batches make room."""
    async with delivering() as (nodes, delivery):
        told = [delivery.take(p, b"x" * 400) for p in range(2)]
        with pytest.raises(BufferFull) as full:
            delivery.take(2, b"x" * 201)
        assert (full.value.waiting, full.value.bound, delivery.overflows) == (800, 1000, 1)
        (await nodes.sent(1, 0)).answer((0, 0, 0), (1, 0, 0))
        await asyncio.gather(*told)
        delivery.take(2, b"x" * 400)


async def test_a_batch_that_is_too_large_is_not_sent():
    """A broker would hang up on it, and on everything else that's under way."""
    async with delivering() as (nodes, delivery):
        assert isinstance(await delivery.take(0, b"x" * 401), Refused)
        assert not nodes.links


async def test_a_caller_that_gave_up_takes_no_room():
    """A cancelled future's batch isn't sent if it hasn't been yet, and is forgotten in time."""
    async with delivering(SHORT) as (nodes, delivery):
        delivery.take(0, b"a").cancel()
        while delivery.waiting_bytes:
            await asyncio.sleep(0)
        assert not nodes.links


async def test_closing_leaves_nobody_waiting():
    """What is under way, what waits and what comes later: all is `Unknown`."""
    async with delivering() as (nodes, delivery):
        told = [delivery.take(0, b"a"), delivery.take(7, b"b")]
        await nodes.sent(1, 0)
        await delivery.close()
        nodes.links[1].close()
        told.append(delivery.take(0, b"c"))
        assert await asyncio.gather(*told) == [Unknown("closed")] * 3
