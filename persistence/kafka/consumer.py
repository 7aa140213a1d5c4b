"""An idempotent consumer of the topic of events.

    Kafka --fetch--> Stretch of each partition --Settler--> one transaction in Postgres --> commit

Kafka gives every record at least once. What was done for one is noted in the transaction that does
it (`consumed`), so it's done once, whoever crashes where: the offset is committed only afterwards,
and serves nothing but to know where to go on reading.

A partition whose head can't be settled waits, and the others go on. Before a partition is given
up, the transaction under way is finished and its offset committed; what only waits is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from time import time
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition
from msgspec import Struct

from persistence.database import Database
from persistence.kafka.consumer_plan import Stretch, sift
from persistence.kafka.consumer_work import Counts, Settler, Work, described
from persistence.kafka.dead_letters import DeadLetters
from persistence.kafka.nodes import translated
from persistence.kafka.stores import KafkaSettings
from persistence.log import LogError, Unavailable

_log = logging.getLogger(__name__)
_DAY_MS = 24 * 3_600_000
_POLL_S = 0.25
_ANSWER_S = 5.0
_FORGET_S = 600.0
_PAUSES_S = (0.1, 0.2, 0.5, 1.0, 2.0)
_NOBODY = TopicPartition("", -1)
"""Asked for it while all partitions wait, Kafka's client sees that we live, and gives nothing."""


class ConsumerSettings(Struct, frozen=True, kw_only=True):
    """How a consumer goes about it. Times are in seconds.

    Attributes:
        attempts: A record whose work failed so often is a dead letter.
        fetch_records: Records that are taken at once.
        gather_bytes: A broker gathers so much before it answers, as long as `gather` seconds: to
            ask for every few records would cost it, and us, more than the records do.
        gather: See there. A record may be so late, and twice that just after a question.
        events: Events in one transaction.
        commit_every: How often offsets are committed, besides before a partition is given up.
        session: So long after a consumer's death another one has its partitions.
        remember_days: So long it's remembered what was settled: longer than the topic keeps events.
        grace: So long a stop waits for the transaction under way.
    """

    attempts: int = 3
    fetch_records: int = 2000
    gather_bytes: int = 128 * 1024
    gather: float = 0.25
    events: int = 50
    commit_every: float = 0.5
    session: float = 10.0
    remember_days: float = 14.0
    grace: float = 15.0


class Consumer:
    """Does one kind of work for all events, as one of a group that shares the partitions."""

    def __init__(
        self,
        work: Work,
        kafka: KafkaSettings,
        database: Database,
        settings: ConsumerSettings | None = None,
    ) -> None:
        """Do `work` for the events of the topic in `kafka`; note it in `database`.

        Must be made on the event loop that it runs on.
        """
        self.name = work.name
        self.counts = Counts()
        self.settings = settings or ConsumerSettings()
        self.letters = DeadLetters(kafka, work.name)
        self.settler = Settler(work, database, self.letters, self.counts, self.settings.events)
        self._work = work
        self._kafka = kafka
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._lock = asyncio.Lock()
        """Held while something is settled or committed, and while partitions go."""
        self._client = self._new_client()
        self._stretches: dict[TopicPartition, Stretch] = {}
        self._positions: dict[TopicPartition, int] = {}
        """Below these everything is settled."""
        self._dirty: set[TopicPartition] = set()
        """Of which the position isn't committed."""
        self._ends: dict[TopicPartition, int] = {}
        self._rewound: set[TopicPartition] = set()
        self._from_beginning = self._until_end = False
        self._committed_at = self._forgot_at = 0.0
        self._said: dict[TopicPartition, str] = {}

    # --- from outside ----------------------------------------------------------------------------

    async def run(self, *, from_beginning: bool = False, until_end: bool = False) -> None:
        """Consume until `stop`.

        Args:
            from_beginning: Read all that Kafka still has: what was settled is passed over.
            until_end: Return when all is settled that was there when a partition was taken up.

        Raises:
            psycopg.ProgrammingError: If Postgres lacks our tables.
        """
        self._from_beginning, self._until_end = from_beginning, until_end
        rounds = self._loop.create_task(self._run())
        stopped = self._loop.create_task(self._stopping.wait())
        try:
            await asyncio.wait((rounds, stopped), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait((rounds,), timeout=self.settings.grace)
        finally:
            stopped.cancel()
            rounds.cancel()
            await asyncio.wait((rounds, stopped))
        if not rounds.cancelled():
            rounds.result()

    def stop(self) -> None:
        """Finish the transaction under way, commit, leave the group; `run` then returns."""
        self._stopping.set()

    def lags(self) -> dict[int, int]:
        """Return how many records each of our partitions has that aren't settled."""
        assigned = self._client.assignment()
        lags: dict[int, int] = {}
        for place, position in self._positions.items():
            if place in assigned and (end := self._client.highwater(place)) is not None:
                lags[place.partition] = max(0, end - position)
        return lags

    def troubles(self) -> dict[int, str]:
        """Return why partitions wait, of those that do."""
        return {
            place.partition: described(stretch.error)
            for place, stretch in self._stretches.items()
            if stretch.error is not None
        }

    # --- rounds ----------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            await self._start()
            while not self._stopping.is_set() and not self._at_end():
                try:
                    await self._round()
                except (KafkaError, LogError, OSError) as error:
                    _log.warning("%s: Kafka or Postgres is away: %s", self.name, described(error))
                    await self._pause(_PAUSES_S[-1])
        finally:
            await self._close()

    async def _start(self) -> None:
        """Check the tables and join the group, as soon as Postgres and Kafka are there."""
        tries = 0
        while not self._stopping.is_set():
            try:
                await self.settler.consumed.check()
                with translated("Kafka"):
                    await self._client.start()
            except Unavailable as error:
                _log.log(logging.DEBUG if tries else logging.WARNING, "%s: %s", self.name, error)
                await self._stop_client()
                self._client = self._new_client()
                await self._pause(_PAUSES_S[min(tries, len(_PAUSES_S) - 1)])
                tries += 1
            else:
                self._client.subscribe([self._kafka.topic], listener=_Listener(self))
                return

    def _new_client(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            bootstrap_servers=self._kafka.servers,
            client_id=f"gameshard.{self.name}",
            group_id=f"gameshard.{self.name}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=int(1000 * self.settings.session),
            heartbeat_interval_ms=int(1000 * self.settings.session / 5),
            max_poll_records=self.settings.fetch_records,
            fetch_min_bytes=self.settings.gather_bytes,
            fetch_max_wait_ms=int(1000 * self.settings.gather),
            max_poll_interval_ms=60_000,
        )

    async def _round(self) -> None:
        await self._begin()
        await self._fetch()
        for place in list(self._stretches):
            async with self._lock:
                await self._advance(place)
        async with self._lock:
            if self._loop.time() - self._committed_at >= self.settings.commit_every:
                await self._commit(self._dirty)
        await self._forget()

    async def _begin(self) -> None:
        """Find out about partitions that are new to us."""
        before = self.counts.rebalances
        for place in self._client.assignment() - self._positions.keys():
            rewind = self._from_beginning and place not in self._rewound
            async with asyncio.timeout(_ANSWER_S):
                if rewind:
                    first = await self._client.beginning_offsets([place])
                    self._client.seek(place, first[place])
                if self._until_end and place not in self._ends:
                    self._ends |= await self._client.end_offsets([place])
                position = await self._client.position(place)
            if self.counts.rebalances != before:
                return  # it may be ours anew, and what we know is of the time before
            self._positions[place] = position
            if rewind:
                self._rewound.add(place)
                self._dirty.add(place)  # whoever has it next goes on from there

    def _at_end(self) -> bool:
        assigned = self._client.assignment()
        return (
            self._until_end
            and bool(assigned)
            and all(
                self._positions.get(place, -1) >= self._ends.get(place, 0) for place in assigned
            )
        )

    async def _fetch(self) -> None:
        now = self._loop.time()
        due = min((stretch.due for stretch in self._stretches.values()), default=now + _POLL_S)
        idle = self._positions.keys() - self._stretches.keys()
        before = self.counts.rebalances
        found: dict[TopicPartition, list[Any]] = await self._client.getmany(
            *(idle or {_NOBODY}), timeout_ms=int(1000 * min(max(0.0, due - now), _POLL_S))
        )
        # Nothing may be awaited here: until a record is in a stretch, only its position knows it.
        for place, records in found.items():
            if self.counts.rebalances != before or place not in self._positions:  # `_begin` first
                self._client.seek(place, records[0].offset)
                continue
            self.counts.records += len(records)
            items = sift(records, self._work.wanted)
            end = records[-1].offset + 1
            self._stretches[place] = Stretch(items, end, self.settings.attempts)
            self._client.pause(place)

    async def _advance(self, place: TopicPartition) -> None:
        """Settle a little of a partition, if it's still ours and it's time."""
        stretch, now = self._stretches.get(place), self._loop.time()
        if stretch is None or stretch.due > now:
            return
        if not stretch.done:
            await self.settler.advance(stretch, now)
        self._tell(place, stretch)
        if stretch.position > self._positions[place]:
            self._positions[place] = stretch.position
            self._dirty.add(place)
        if stretch.done:
            del self._stretches[place]
            self._client.resume(place)

    def _tell(self, place: TopicPartition, stretch: Stretch) -> None:
        """Log what's new about a partition's trouble, once it's more than a short wait."""
        error = stretch.error if stretch.stuck or stretch.hopeless else None
        words = described(error) if error is not None else ""
        if words and words != self._said.get(place):
            _log.warning("%s: partition %d waits: %s", self.name, place.partition, words)
        self._said[place] = words

    async def _commit(self, places: Iterable[TopicPartition]) -> None:
        """Commit positions, as far as Kafka takes them; if it doesn't, some work is seen twice."""
        offsets = {place: self._positions[place] for place in places}
        self._committed_at = self._loop.time()
        if not offsets:
            return
        try:
            with translated("commit"):
                async with asyncio.timeout(_ANSWER_S):
                    await self._client.commit(offsets)
        except Unavailable as error:
            self.counts.failed_commits += 1
            _log.info("%s: %s", self.name, error)
        else:
            self.counts.commits += 1
            self._dirty -= offsets.keys()

    async def _forget(self) -> None:
        """Every now and then forget what is too old to be read again."""
        if self._loop.time() - self._forgot_at >= _FORGET_S:
            before = int(time() * 1000 - self.settings.remember_days * _DAY_MS)
            if not await self.settler.consumed.forget(before):
                self._forgot_at = self._loop.time()

    async def _pause(self, seconds: float) -> None:
        """Wait, but not beyond a stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    # --- partitions that go ----------------------------------------------------------------------

    async def revoked(self) -> None:
        """All partitions go (and may come again): finish, commit, drop what only waits."""
        async with self._lock:
            self.counts.rebalances += 1
            await self._commit(self._dirty)
            for partitions in (self._stretches, self._positions, self._said):
                partitions.clear()
            self._dirty.clear()

    async def _close(self) -> None:
        async with self._lock:
            await self._commit(self._dirty)
        await self._stop_client()
        await self.letters.close()

    async def _stop_client(self) -> None:
        try:
            with translated("closing"):
                async with asyncio.timeout(_ANSWER_S):
                    await self._client.stop()
        except Unavailable as error:
            _log.info("%s: %s", self.name, error)


class _Listener(ConsumerRebalanceListener):
    """Tells a consumer that Kafka takes its partitions. aiokafka awaits what a method returns."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    async def on_partitions_revoked(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, revoked: set[TopicPartition]
    ) -> None:
        if revoked:
            await self._consumer.revoked()

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Nothing: the next round finds them."""
