"""All live games, tier by tier: log and outbox, snapshots, Redis, and what players are shown.

For each page of games the states are read first and the log last, so that none may be ahead of it;
and what players see after what is stored, so that it mustn't be behind that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus

import msgspec
import psycopg
from msgspec import Struct

from gateway.audit import Finding
from gateway.installed import Running
from gateway.replay import CONNECT_S, read_history
from gateway.tail import Tail
from gateway.tier_reading import Answer, Away, Stored, Tiers
from gateway.tiers import Held, joined, judge, packed, plain
from persistence.hot_state import Warm
from runtime.behaviours import Kind, load

_LIVE = "SELECT partition, id FROM games WHERE status <> 'ended'"
_FETCH = 10_000


class _Shown(Struct):
    """What a gateway adds to a game."""

    seq: int


_seq = msgspec.json.Decoder(_Shown).decode


class _Count(Struct):
    """Who is behind the log."""

    games: int = 0
    most: int = 0


def compared(kafka: bool, hot: bool, gateways: bool) -> str:
    """Return the tiers in words."""
    tiers = ["the log", *(["its outbox"] if kafka else []), "snapshots"]
    tiers += [*(["Redis"] if hot else []), *(["what players see"] if gateways else [])]
    return ", ".join(tiers[:-1]) + " and " + tiers[-1]


class Comparison:
    """One look at all live games of a system."""

    def __init__(self, running: Running) -> None:
        """Compare what `running` has."""
        self._dsn = running.dsn
        self._tiers = Tiers(running)
        self._kinds = {name: Kind(each) for name, each in load().items()}
        self._tail = Tail()
        self._position = 0
        self._games = 0
        self._unanswered = 0
        self._behind: dict[str, _Count] = {}
        self._hot = self._tiers.has_hot_state
        self._gateways = True

    async def findings(self) -> AsyncIterator[Finding]:
        """Yield what differs, game by game, then how far who is behind."""
        try:
            partitions = self._note_live()
            for partition in range(partitions):
                async for finding in self._partition(partition):
                    yield finding
        except (Away, psycopg.Error) as away:
            yield Finding(False, f"{away}: the tiers of the games can't be compared")
            return
        finally:
            await self._tiers.close()
            self._tail.close()
        for tier, count in self._behind.items():
            what = f"{tier}: behind the log in {count.games} games, by {count.most} events at most"
            yield Finding(True, what)
        if self._unanswered:
            yield Finding(False, f"games that the gateways don't show: {self._unanswered}")
        tiers = compared(self._tiers.kafka is not None, self._hot, self._gateways)
        yield Finding(True, f"{self._games} games were compared in {tiers}")

    def _note_live(self) -> int:
        """Note which games are live, in one pass; return how many partitions there are."""
        with psycopg.connect(self._dsn, connect_timeout=CONNECT_S) as connection:
            row = connection.execute("SELECT partitions FROM installation").fetchone()
            with connection.cursor("live") as cursor:
                cursor.execute(_LIVE)
                while rows := cursor.fetchmany(_FETCH):
                    self._tail.note_live(rows)
        return row[0] if row else 0

    async def _partition(self, partition: int) -> AsyncIterator[Finding]:
        self._tail.begin()
        self._position = await self._tiers.checkpoint(partition)
        await self._extend(partition)
        async for games in self._pages(partition):
            async for finding in self._page(partition, self._tail.unseen(games)):
                yield finding

    async def _extend(self, partition: int) -> None:
        """Read the log on, to where it ends now."""
        async for records in self._tiers.logged(partition, self._position):
            if records:
                self._tail.add(records)
                self._position = records[-1][0] + 1

    async def _pages(self, partition: int) -> AsyncIterator[list[str]]:
        """Yield the games to look at: stored ones, and those that are only in another tier."""
        for games in self._tail.live(partition):
            yield games
        for games in self._tail.in_tail():
            yield games
        async for games in self._tiers.in_outbox(partition):
            yield games
        if self._hot:
            try:
                hot = await self._tiers.listed(partition)
            except Away:
                return  # it's told where games are looked up in it, if there are any
            if hot is not None:
                yield list(hot.games)

    async def _page(self, partition: int, games: Sequence[str]) -> AsyncIterator[Finding]:
        if not games:
            return
        stored = await self._tiers.stored(games)
        warm: dict[str, Warm] = {}
        shown: dict[str, Answer] = {}
        if self._hot:
            try:
                warm = await self._tiers.hot(games)
            except Away as away:
                self._hot = False
                yield Finding(False, f"{away}; it's left out. Take-overs read more of the log.")
        if self._gateways:
            try:
                shown = await self._tiers.shown(games)
            except Away as away:
                self._gateways = False
                yield Finding(False, f"{away}; what players see is left out")
        waiting = await self._tiers.waiting(games)
        await self._extend(partition)
        for game in games:
            held = [*self._stored(game, stored.get(game), warm.get(game))]
            floor = max((each.seq for each in held), default=0)
            if game in shown and (seen := self._seen(shown[game], floor)) is not None:
                held.append(seen)
            history = stored[game].history if game in stored else b""
            log, words = joined(self._tail.events(game), waiting.get(game, ()))
            read = read_history(history, stored[game].seq if game in stored else 0)
            verdict = judge(read, log, held, self._kinds, words)
            self._count(verdict.behind)
            for what in verdict.differs:
                yield Finding(False, f"game {game}: {what}")

    def _stored(self, game: str, row: Stored | None, warm: Warm | None) -> list[Held]:
        held: list[Held] = []
        if row is not None:
            held.append(packed("snapshots", game, row.seq, row.state, self._kinds))
        if warm is not None:
            held.append(warm_of(game, warm, self._kinds))
        return held

    def _seen(self, answer: Answer, floor: int) -> Held | None:
        """Return what a player sees; it was asked for when `floor` was stored already."""
        held = shown_of(answer)
        if held is None:
            self._unanswered += 1
        elif held.seq < floor and not held.trouble:
            why = f"at seq {held.seq}, though seq {floor} was stored before"
            return Held(held.tier, held.seq, trouble=why)
        return held

    def _count(self, behind: Mapping[str, int]) -> None:
        self._games += 1
        for tier, events in behind.items():
            if tier != "GET":  # that was only asked before the log was read
                count = self._behind.setdefault(tier, _Count())
                count.games += 1
                count.most = max(count.most, events)


def warm_of(game: str, warm: Warm, kinds: dict[str, Kind]) -> Held:
    """Return what the hot state has of a game, its own events with it."""
    held = packed("Redis", game, warm.seq, warm.state, kinds)
    told = warm.tail.split(b"\n")[:-1]
    if len(told) != warm.seq - warm.saved and not held.trouble:
        why = f"{len(told)} events for seq {warm.saved + 1} to {warm.seq}"
        return Held("Redis", warm.seq, trouble=why)
    return Held("Redis", held.seq, held.view, dict(enumerate(told, warm.saved + 1)), held.trouble)


def shown_of(answer: Answer) -> Held | None:
    """Return what a player sees of a game; None if nobody knows just now."""
    if answer.status == HTTPStatus.OK:
        try:
            return Held("GET", _seq(answer.body).seq, plain(answer.body))
        except msgspec.DecodeError as error:
            return Held("GET", 0, trouble=f"an answer that's no game: {error}")
    if answer.status == HTTPStatus.NOT_FOUND:
        return Held("GET", 0)
    return None
