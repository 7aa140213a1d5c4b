"""How an owner takes a partition over: claim, read what no snapshot holds, serve.

It serves as soon as the tail of the log is in memory. A game that the tail touches is brought to
life when somebody asks for it, or in its turn; all others wait in the store until somebody asks,
or their deadline comes. So the pause that players see doesn't grow with what there is to replay.

With a hot state the tail begins at its mark, a second old; without one, or if it doesn't fit, at
the checkpoint of the snapshots. See `runtime.revival`.
"""

from __future__ import annotations

import logging
from time import monotonic

from persistence.hot_state import Hot
from persistence.log import Claim, LogError
from runtime.partition import Partition, Surroundings
from runtime.revival import Revival
from runtime.tails import foreign, hot_fits, read_tail, useful
from runtime.warming import Warming

_log = logging.getLogger(__name__)


async def open_partition(partition: int, epoch: int, owner: str, around: Surroundings) -> Partition:
    """Claim `partition` and return it ready to serve.

    Raises:
        persistence.log.Fenced: If the assignment isn't (or no longer) ours.
        persistence.log.Unavailable: If the log or the store doesn't answer.
        runtime.formats.Unfit: If it may hold what can't be read here.
    """
    # Before the claim: a log that reads ahead begins where the hot state ends. What is written
    # there later is behind its mark in the log, too.
    hot = await _left(partition, around)
    known = hot.mark.offset if hot is not None and hot.mark.epoch < epoch else 0
    asked_at = monotonic()
    claim = await around.log.claim(partition, epoch, owner, known)
    try:
        return await _opened(claim, hot, around, asked_at)
    except BaseException:
        around.log.release(partition, epoch)  # nobody here will append under it
        raise


async def _left(partition: int, around: Surroundings) -> Hot | None:
    if around.hot is None:
        return None
    try:
        return await around.hot.read(partition)
    except LogError as error:
        _log.info("partition %d: no hot state: %s", partition, error)
        return None


async def _opened(
    claim: Claim, left: Hot | None, around: Surroundings, asked_at: float
) -> Partition:
    await around.agree()  # after the claim: so nobody writes what we haven't heard of
    hot = left if left is not None and useful(left, claim) else None
    start = hot.mark.offset if hot is not None else claim.checkpoint
    tail = await read_tail(around.log, claim, start, claim.head)
    if hot is not None and not hot_fits(hot, tail):
        _log.warning("partition %d: its hot state doesn't fit to the log", claim.partition)
        hot = None
        tail = await read_tail(around.log, claim, claim.checkpoint, claim.head)
    if hot is not None:
        deadlines = [hot.deadlines]
    else:
        deadlines = [each async for each in around.store.deadlines(claim.partition)]
    opened = Partition(claim, around, asked_at)
    if any(until == claim.at for _, until in claim.outages):
        # Nobody could be answered between the claim and now, either.
        opened.own_time.excuse(claim.at, opened.now())
    around.log.attach(claim.partition, claim.epoch, opened.keeping)
    Revival(opened, claim, tail, hot).begin()  # before any deadline can ring
    for some in deadlines:
        opened.own_time.deadlines.load(list(some))
    if around.hot is not None:
        opened.warming = Warming(opened, served=hot is not None)
        if left is not None and foreign(left, claim):
            around.spawn(_drop(claim.partition, left, around))
    return opened


async def _drop(partition: int, hot: Hot, around: Surroundings) -> None:
    """Forget what another log's owners left, or nothing that is written here would count."""
    assert around.hot is not None
    _log.warning("partition %d: the hot state is of another log, or newer than it", partition)
    try:
        await around.hot.drop(partition, hot.mark)
    except LogError as error:
        _log.info("partition %d: it's still there: %s", partition, error)
