"""One game as each tier tells it, for `gameshard replay`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from gateway.comparing import shown_of, warm_of
from gateway.installed import Running
from gateway.replay import read_history
from gateway.tier_reading import Away, Tiers
from gateway.tiers import Held, Verdict, joined, judge, packed
from runtime.behaviours import Kind, load
from runtime.partitions import partition_of

Source = Literal["log", "outbox", "snapshots", "redis"]
_NAMES: Mapping[Source, str] = {
    "log": "log",
    "outbox": "outbox",
    "snapshots": "stored history",
    "redis": "hot state",
}
Seqs = Sequence[tuple[int, bytes]]


class Told(Struct, frozen=True):
    """A game in all tiers.

    Attributes:
        events: (seq, event) of each source, as it has them; a source that's away is missing.
        verdict: What comparing them shows.
        away: What couldn't be read, in words.
        states: The seq at which others than the log hold the game, by tier.
    """

    events: Mapping[Source, Seqs]
    verdict: Verdict
    away: Sequence[str]
    states: Mapping[str, int]

    def lines(self) -> list[str]:
        """Return in words what is where, who is behind, and what couldn't be read."""
        has = [f"{len(events)} in the {_NAMES[name]}" for name, events in self.events.items()]
        lines = [f"{len(self.verdict.replay.events)} events: {', '.join(has)}"]
        for tier, seq in self.states.items():
            behind = self.verdict.behind.get(tier, 0)
            lines.append(f"{tier}: at seq {seq}" + (f", {behind} behind" if behind else ""))
        return [*lines, *(f"{each}; it isn't compared" for each in self.away)]


async def tell(running: Running, game: str) -> Told:
    """Read a game from everywhere, states before events, and compare.

    Raises:
        Away: If Postgres can't be read, where the game's history is.
    """
    tiers = Tiers(running)
    try:
        return await _Telling(tiers, game).tell()
    finally:
        await tiers.close()


class _Telling:
    def __init__(self, tiers: Tiers, game: str) -> None:
        self._tiers = tiers
        self._game = game
        self._kinds = {name: Kind(each) for name, each in load().items()}
        self._events: dict[Source, Seqs] = {}
        self._held: list[Held] = []
        self._away: list[str] = []

    async def tell(self) -> Told:
        partition = partition_of(self._game, await self._tiers.partitions())
        history = await self._read_snapshots()
        await self._read_others()
        waiting = (await self._tiers.waiting([self._game])).get(self._game, [])
        if self._tiers.kafka is not None:
            self._events["outbox"] = waiting
        log, words = joined(await self._read_log(partition), waiting)
        held = self._held
        if "log" not in self._events:  # who is ahead of it can't be said
            held = [each for each in held if each.seq <= max([len(history[0]), *dict(log)])]
        verdict = judge(history, log, held, self._kinds, words)
        states = {each.tier: each.seq for each in self._held if each.seq}
        return Told(self._events, verdict, self._away, states)

    async def _read_snapshots(self) -> tuple[list[bytes], list[str]]:
        row = (await self._tiers.stored([self._game])).get(self._game)
        if row is None:
            self._events["snapshots"] = []
            return [], []
        history = read_history(row.history, row.seq)
        self._events["snapshots"] = list(enumerate(history[0], 1))
        self._held.append(packed("snapshots", self._game, row.seq, row.state, self._kinds))
        return history

    async def _read_others(self) -> None:
        """Read the hot state, and then what a player sees."""
        game = self._game
        if self._tiers.has_hot_state:
            try:
                warm = (await self._tiers.hot([game])).get(game)
            except Away as away:
                self._away.append(str(away))
            else:
                held = warm_of(game, warm, self._kinds) if warm is not None else None
                self._events["redis"] = sorted(held.events.items()) if held is not None else []
                self._held += [held] if held is not None else []
        try:
            shown = shown_of((await self._tiers.shown([game]))[game])
        except Away as away:
            self._away.append(str(away))
        else:
            if shown is None:
                self._away.append("The gateways don't show it just now")
            else:
                self._held.append(shown)

    async def _read_log(self, partition: int) -> Seqs:
        found: list[tuple[int, bytes]] = []
        try:
            start = await self._tiers.first(partition)
            async for batch in self._tiers.logged(partition, start):
                found += [(each.seq, each.value) for _, each in batch if each.game == self._game]
        except Away as away:
            self._away.append(str(away))
            return []
        self._events["log"] = found
        return found
