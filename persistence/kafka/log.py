"""The event log in Kafka, with Postgres beside it: who owns what, and where events wait meanwhile.

append -> Life -> KafkaOwner (pure) -> Produce, or AppendRows while Kafka is away
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import Future
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import chain

from persistence.append_times import AppendTimes
from persistence.database import Database
from persistence.kafka.breaker import Breaker
from persistence.kafka.brokers import Brokers
from persistence.kafka.life import Life
from persistence.kafka.outbox import Outbox
from persistence.log import Claim, Fenced, Memory, Placed, Record, Unavailable
from persistence.ownership.owner import Settings
from persistence.ownership.row import PartitionOpened
from persistence.rows import touch

_log = logging.getLogger(__name__)
_TICK_S = 0.1


class KafkaLog:
    """`persistence.log.EventLog` on Kafka. Belongs to one event loop.

    An owner's appends don't fail when Kafka does: after `Settings.doubt_ms`, or when it was found
    to be away, they go to Postgres, and back when it works again.
    """

    def __init__(
        self, brokers: Brokers, database: Database, settings: Settings | None = None
    ) -> None:
        """Append by `brokers`; keep rows and what waits in `database`. It closes neither."""
        self._brokers = brokers
        self._database = database
        self._outbox = Outbox(database)
        self._settings = settings or Settings()
        self._lives: dict[int, Life] = {}
        self._opening: dict[int, set[Life]] = {}
        self._switching = asyncio.Lock()
        self._breaker = Breaker()
        self._times = AppendTimes(asyncio.get_running_loop())
        self._loop = asyncio.get_running_loop()
        self._following: dict[int, asyncio.Task[None]] = {}
        self._ticking = self._loop.create_task(self._tick())
        self._closed = False

    # --- owning ----------------------------------------------------------------------------------

    async def claim(self, partition: int, epoch: int, owner: str, known: int = 0) -> Claim:
        """See `EventLog.claim`. It waits while Kafka is away, unless it goes on in the outbox.

        After `Unavailable`, ask for a new epoch: it may have happened.
        """
        if self._closed:
            raise Unavailable("the log is closed")
        stores = (self._brokers, self._outbox, self._switching)
        life = Life(partition, epoch, owner, stores, self, self._settings)
        opening = self._opening.setdefault(partition, set())
        for older in opening:
            older.superseded(epoch)
        opening.add(life)
        try:
            claim = await life.open(known)
        except asyncio.CancelledError:
            life.close()
            raise
        finally:
            opening.discard(life)
        before = self._lives.get(partition)
        if before is not None:
            before.superseded(epoch)
            if not before.machine.closed:  # it's of a higher epoch
                life.close()
                raise Fenced(partition, epoch)
        self._lives[partition] = life
        life.tick()  # it has had neither the time nor the breaker's news so far
        life.breaker(away=self._breaker.open)
        return claim

    def attach(self, partition: int, epoch: int, memory: Memory) -> None:
        """See `EventLog.attach`."""
        life = self._life(partition, epoch)
        if life is not None:
            life.attach(memory)

    def release(self, partition: int, epoch: int) -> None:
        """See `EventLog.release`."""
        life = self._life(partition, epoch)
        if life is not None:
            del self._lives[partition]
            life.release()

    def _life(self, partition: int, epoch: int) -> Life | None:
        life = self._lives.get(partition)
        return life if life is not None and life.epoch == epoch else None

    # --- appending and reading -------------------------------------------------------------------

    def append(self, partition: int, epoch: int, records: Sequence[Record]) -> Future[int]:
        """See `EventLog.append`.

        Raises:
            ValueError: If there is nothing to append.
        """
        if not records:
            raise ValueError("nothing to append")
        life = self._life(partition, epoch)
        if life is not None and not self._closed:
            return self._times.begin(life.append(records))
        future: Future[int] = self._loop.create_future()
        future.set_exception(
            Unavailable("the log is closed") if self._closed else Fenced(partition, epoch)
        )
        return future

    async def read(self, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Placed]]:
        """See `EventLog.read`. Ends where the log ends: Kafka's, or the outbox's behind it."""
        life = self._lives.get(partition)
        tail = life.take_tail(start, end) if life is not None else None
        if tail is not None:
            yield tail
            return
        row, waiting = await self._outbox.peek(partition)  # before Kafka: a drain goes that way
        outbox = row.mode == "outbox"
        # What Kafka has from there on is in the outbox as well: what was in doubt, what is drained.
        known = row.offset if outbox else await self._brokers.end_offset(partition)
        async for batch in self._brokers.read(partition, start, min(end, known)):
            yield [(o, entry) for o, entry in batch if not isinstance(entry, PartitionOpened)]
        if outbox:
            yield [each for each in enumerate(waiting, row.offset) if start <= each[0] < end]

    async def touch(self, owned: Sequence[tuple[int, int]]) -> Sequence[int]:
        """See `EventLog.touch`."""
        return await touch(self._database, owned)

    async def checkpoint(self, partition: int, epoch: int, offset: int) -> None:
        """See `EventLog.checkpoint`."""
        await self._database.query(
            "UPDATE partitions SET checkpoint = %s"
            " WHERE id = %s AND epoch = %s AND checkpoint < %s",
            offset,
            partition,
            epoch,
            offset,
        )
        life = self._life(partition, epoch)
        if life is not None:
            life.saved(offset)

    async def _follow(self, partition: int, life: Life, offset: int) -> None:
        """Take the checkpoint behind claims that follow the last event, which is saved."""
        try:
            await self.checkpoint(partition, life.epoch, offset)
        except Unavailable as error:  # the next tick tries again
            _log.info("partition %d: no checkpoint: %s", partition, error)
        finally:
            self._following.pop(partition, None)

    # --- Kafka's state ---------------------------------------------------------------------------

    def status(self) -> Mapping[str, object]:
        """See `EventLog.status`; also whether Kafka is away, and what the outbox and appends do."""
        lives = self._lives.values()
        return {
            "kind": "kafka",
            "healthy": not any(life.stuck for life in lives),
            "away": self._breaker.open,
            "in_outbox": sorted(p for p, life in self._lives.items() if life.in_outbox),
            "outbox_events": sum(life.machine.places for life in lives if life.in_outbox),
            **self._times.status(),
        }

    def heard(self, *, well: bool) -> None:
        """See `persistence.kafka.life.Health`."""
        if self._breaker.worked() if well else self._breaker.failed(self._loop.time()):
            # Not at once: whoever tells has an answer in hand that goes first.
            self._loop.call_soon(self._tell)

    def _tell(self) -> None:
        for life in list(self._lives.values()):
            life.breaker(away=self._breaker.open)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            for partition, life in list(self._lives.items()):
                life.tick()
                offset = life.behind_claims()
                if offset is not None and partition not in self._following:
                    following = self._follow(partition, life, offset)
                    self._following[partition] = self._loop.create_task(following)

    async def close(self) -> None:
        """See `EventLog.close`."""
        self._closed = True
        for task in (self._ticking, *self._following.values()):
            task.cancel()
        for life in [*self._lives.values(), *chain.from_iterable(self._opening.values())]:
            life.close()
        self._lives.clear()
