"""The end of a partition's log, by game, and what fits to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from persistence.hot_state import Hot, Warm
from persistence.log import Claim, EventLog, Placed

Tail = dict[str, list[Placed]]
"""The records from some offset on by game, each with its offset."""


async def read_tail(log: EventLog, claim: Claim, start: int, end: int) -> Tail:
    """Read a stretch of a claimed partition."""
    games: Tail = {}
    async for records in log.read(claim.partition, start, end):
        for placed in records:
            games.setdefault(placed[1].game, []).append(placed)
    return games


def useful(hot: Hot, claim: Claim) -> bool:
    """Whether a hot state can be of the log that was claimed, and spares us a part of it."""
    return hot.mark.epoch < claim.epoch and claim.checkpoint <= hot.mark.offset <= claim.head


def foreign(hot: Hot, claim: Claim) -> bool:
    """Whether a hot state can't be of the log that was claimed, nor of a newer owner's."""
    return hot.mark.epoch >= claim.epoch or hot.mark.offset > claim.head


def hot_fits(hot: Hot, tail: Mapping[str, Sequence[Placed]]) -> bool:
    """Whether no event is missing between the listed games and the log behind the mark."""
    return all(follows(seq, tail.get(game, ())) for game, seq in hot.games.items())


def follows(seq: int, records: Sequence[Placed]) -> bool:
    """Whether the records go on where a game at `seq` is, or before."""
    return not records or records[0][1].seq <= seq + 1


def warm_fits(warm: Warm, records: Sequence[Placed]) -> bool:
    """Whether a game of the hot state is what the log says: where both tell, they tell the same."""
    told = warm.tail.split(b"\n")[:-1]
    if len(told) != warm.seq - warm.saved or not follows(warm.seq, records):
        return False
    return all(
        told[record.seq - warm.saved - 1] == record.value
        for _, record in records
        if warm.saved < record.seq <= warm.seq
    )
