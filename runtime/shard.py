"""A shard: the partitions of one process, behind one listening socket. No Ray in here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from time import monotonic
from typing import Any

from actors.behaviour import Behaviour
from persistence.hot_state import HotState
from persistence.log import EventLog, Fenced, LogError
from persistence.snapshots import SnapshotStore
from runtime.behaviours import Kind
from runtime.effects import Asker, Effects
from runtime.formats import Formats, Unfit, offers, refusal
from runtime.lease import Lease
from runtime.link import ServerLink
from runtime.opening import open_partition
from runtime.partition import Partition, Surroundings
from runtime.reading import Reading
from runtime.saving import Loader, Saver
from runtime.settings import ShardSettings
from runtime.slices import in_slices
from runtime.warming import Warmer
from runtime.wire import (
    AttendIn,
    CommandIn,
    EventsIn,
    Message,
    MovedOut,
    RewatchIn,
    StateIn,
    UnwatchIn,
    WatchIn,
)

_log = logging.getLogger(__name__)
_TICK_S = 1.0
_LAG_S = 0.05
_PAUSED_S = 0.5
"""A loop that did nothing for so long was stopped, or starved: an outage for all of its games."""
_NONE: Mapping[int, Partition] = {}


async def _nothing_agreed() -> Formats:
    return {}


class ShardLink(ServerLink):
    """A gateway's connection, which isn't read while it has too many unanswered commands."""

    def __init__(self, shard: Shard, loop: asyncio.AbstractEventLoop, secret: bytes) -> None:
        super().__init__(loop, secret)
        self._shard = shard
        self._limit = shard.settings.link_commands
        self._unanswered = 0
        self._paused = False

    def messages(self, messages: list[Any]) -> None:
        """Pass the gateway's messages to their partitions."""
        # Many are answered before `dispatch` returns: their places must not be lost to a `+=` that
        # has read the number before the call.
        asked = self._shard.dispatch(self, messages)
        self._unanswered += asked
        if self._unanswered > self._limit and not self._paused:
            self._paused = True
            self.pause_reading()

    @property
    def unanswered(self) -> int:
        """How many of the gateway's asks wait for an answer."""
        return self._unanswered

    def push(self, message: Message) -> None:
        """Send a message; every answer frees one place."""
        super().push(message)
        if getattr(message, "reply", 0):
            self._unanswered -= 1
            if self._paused and self._unanswered < self._limit // 2:
                self._paused = False
                self.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what this gateway watched."""
        super().connection_lost(exc)
        self._shard.leave(self)


class Shard:
    """Hosts partitions. Belongs to one event loop; `incarnation` names this life of the process."""

    def __init__(
        self,
        incarnation: str,
        behaviours: dict[str, Behaviour],
        stores: tuple[EventLog, SnapshotStore],
        asker: Asker,
        secret: bytes,
        settings: ShardSettings,
    ) -> None:
        """Prepare; `start` listens, `open` serves."""
        self.incarnation = incarnation
        self.settings = settings
        self.partitions: dict[int, Partition] = {}
        self.on_lost: Callable[[int, int], None] = lambda _partition, _epoch: None
        """Hears of a (partition, epoch) that was served, and is no longer."""
        self.formats: Callable[[], Awaitable[Formats]] = _nothing_agreed
        """Reads which versions may be written; it's asked after each claim."""
        self.hot: HotState | None = None
        """Where unsaved games are written behind, if anywhere; `start` takes it."""
        self._warmer: Warmer | None = None
        self._readings: dict[int, Reading] = {}
        self._links: set[ShardLink] = set()
        self._log, self._store = stores
        self._secret = secret
        self._kinds = {name: Kind(behaviour) for name, behaviour in behaviours.items()}
        self.offers = offers(behaviours)
        self._asker = asker
        self._tasks: set[asyncio.Task[None]] = set()
        self._saver = Saver(self._store, settings)
        self.lease = Lease(settings.lease)
        self._server: asyncio.Server | None = None
        self._awake = monotonic()
        self._lag_ms = 0.0
        self._rate = 0.0
        self._events_closed = 0

    async def start(self, host: str, tls: ssl.SSLContext | None = None) -> tuple[str, int]:
        """Listen on a free port of `host` and return the address."""
        loop = asyncio.get_running_loop()
        self._around = Surroundings(
            loop=loop,
            kinds=self._kinds,
            log=self._log,
            store=self._store,
            loader=Loader(self._store),
            saver=self._saver,
            effects=Effects(self._asker, self._spawn),
            settings=self.settings,
            spawn=self._spawn,
            lost=self._lost,
            overloaded=lambda: self._lag_ms > self.settings.shed_lag_ms,
            agree=self._agree,
            hot=self.hot,
            woken=lambda: self._wake(monotonic()),
        )
        if self.hot is not None:
            self._warmer = Warmer(self.hot, self.settings.warm_every)
            self._spawn(self._warmer.run(self.partitions, self._in_outbox))
        self._server = await loop.create_server(self._connection, host, 0, ssl=tls)
        for task in (self._saver.run(), self._tick(), self._touch(), self._measure()):
            self._spawn(task)
        name = self._server.sockets[0].getsockname()
        return name[0], name[1]

    def _connection(self) -> ShardLink:
        link = ShardLink(self, self._around.loop, self._secret)
        self._links.add(link)
        return link

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a task of the shard failed", exc_info=error)

    # --- partitions --------------------------------------------------------------------------

    async def open(self, partition: int, epoch: int) -> None:
        """Take `partition` over at `epoch`; a no-op if that's what we have.

        Raises:
            persistence.log.LogError: See `runtime.opening.open_partition`.
        """
        mine = self.partitions.get(partition)
        if mine is not None and mine.epoch >= epoch:
            return
        asked_at = monotonic()
        opened = await open_partition(partition, epoch, self.incarnation, self._around)
        self.lease.renew(asked_at)
        mine = self.partitions.get(partition)
        if mine is not None and mine.epoch > epoch:  # it took so long that another was given
            opened.close()
            raise Fenced(partition, epoch)
        if mine is not None:
            self._forget(partition).close()
        self._readings[partition] = Reading(opened)
        self.partitions[partition] = opened

    async def _agree(self) -> None:
        formats = await self.formats()
        if why := refusal(formats, self.offers):
            raise Unfit(why)
        self.write(formats)

    def write(self, formats: Formats) -> None:
        """Write these versions from now on; all that are stored are among them."""
        if formats:
            for name, kind in self._kinds.items():
                kind.agree(formats.get(name, 0))

    async def release(self, partition: int, epoch: int, timeout: float) -> None:
        """Hand `partition` over in order, with as short a pause as can be.

        It's saved while it still serves; then it takes no more commands, finishes what was begun
        and notes the checkpoint. What is unsaved then, the next owner reads from the log.
        """
        mine = self.partitions.get(partition)
        if mine is None or mine.epoch != epoch:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout / 2):
                await mine.keeping.prepare()
        mine.seal()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout / 2):
                await mine.journal.quiet()
                await self._checkpoint(mine)
        self._drop(mine)

    async def _finish(self, mine: Partition, timeout: float) -> None:
        """Give a partition up for good: whoever opens it next has nothing to replay."""
        mine.seal()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await mine.keeping.settle()
                await self._checkpoint(mine)
        self._drop(mine)

    def _drop(self, mine: Partition) -> None:
        if self.partitions.get(mine.id) is mine:
            self._forget(mine.id)
        mine.close()

    def _forget(self, partition: int) -> Partition:
        self._readings.pop(partition, None)
        mine = self.partitions.pop(partition)
        self._events_closed += mine.events
        return mine

    def lapse(self, partition: int, epoch: int) -> None:
        """Somebody else owns `partition` since `epoch`, if that's what we have: stop at once."""
        mine = self.partitions.get(partition)
        if mine is not None and mine.epoch == epoch:
            self._drop(mine)

    def _lost(self, mine: Partition) -> None:
        self._drop(mine)
        self.on_lost(mine.id, mine.epoch)

    async def _checkpoint(self, partition: Partition) -> None:
        offset = partition.journal.checkpoint()
        if offset > partition.checkpointed:
            try:
                await self._log.checkpoint(partition.id, partition.epoch, offset)
            except LogError as error:
                _log.warning("partition %d: no checkpoint: %s", partition.id, error)
            else:
                partition.checkpointed = offset

    # --- messages ----------------------------------------------------------------------------

    def dispatch(self, link: ShardLink, messages: list[Any]) -> int:
        """Pass messages to their partitions; return how many will be answered."""
        # The loop's own time may be from before a pause of the whole process.
        now = monotonic()
        self._wake(now)
        partitions = self.partitions if now < self.lease.until else _NONE
        asked = 0
        for message in messages:
            partition = partitions.get(message.partition)
            reply = getattr(message, "reply", 0)
            asked += reply > 0
            if partition is None:
                if reply:
                    link.push(MovedOut(reply, message.partition))
                continue
            try:
                if type(message) is CommandIn:
                    partition.command(link, message)
                else:
                    self._read(link, message)
            except Exception as error:  # noqa: BLE001  (one game's failure is no other's)
                _log.exception("game %s: %s failed", message.game, type(message).__name__)
                partition.quarantine(link, reply, message.game, error)
        return asked

    def _read(self, link: ShardLink, message: Any) -> None:
        reading = self._readings[message.partition]
        match message:
            case StateIn():
                reading.state(link, message)
            case EventsIn():
                reading.events(link, message)
            case WatchIn():
                reading.watch(link, message)
            case UnwatchIn():
                reading.unwatch(link, message)
            case RewatchIn():
                reading.rewatch(link, message)
            case AttendIn():
                reading.attend(link, message)
            case _:
                _log.warning("unexpected %s", type(message).__name__)

    def leave(self, link: ShardLink) -> None:
        """Forget a link that broke."""
        self._links.discard(link)
        for reading in list(self._readings.values()):
            reading.leave(link)

    # --- housekeeping ------------------------------------------------------------------------

    async def _tick(self) -> None:
        ticks = 0
        while True:
            await asyncio.sleep(_TICK_S)
            ticks += 1
            for partition in list(self.partitions.values()):
                await in_slices(partition.keeping.chores())
                if ticks % max(1, round(self.settings.checkpoint_every / _TICK_S)) == 0:
                    await self._checkpoint(partition)

    async def _touch(self) -> None:
        while True:
            await asyncio.sleep(self.settings.touch_every)
            owned = [(p.id, p.epoch) for p in self.partitions.values()]
            asked_at = monotonic()
            try:
                lost = await self._log.touch(owned) if owned else ()
            except Exception as error:  # noqa: BLE001  (tried again, or nobody would be)
                if not isinstance(error, LogError):
                    _log.exception("nobody is touched")
                continue
            for partition in lost:
                mine = self.partitions.get(partition)
                if mine is not None and (partition, mine.epoch) in owned:
                    self._lost(mine)
            self.lease.renew(asked_at)

    async def _measure(self) -> None:
        """Keep the event loop's lag and the rate of events, each smoothed over about a second."""
        loop, events = self._around.loop, 0
        while True:
            before = loop.time()
            await asyncio.sleep(_LAG_S)
            took = loop.time() - before
            self._wake(monotonic())
            self._lag_ms += 0.1 * (max(0.0, took - _LAG_S) * 1000 - self._lag_ms)
            now = self._events()
            self._rate += 0.1 * ((now - events) / took - self._rate)
            events = now

    def _wake(self, now: float) -> None:
        """Note that the loop runs; a long pause is over before what came meanwhile is executed."""
        paused, self._awake = now - self._awake, now
        if paused > _PAUSED_S:
            for partition in self.partitions.values():
                partition.stalled(paused)

    def _events(self) -> int:
        return self._events_closed + sum(p.events for p in self.partitions.values())

    def _in_outbox(self) -> Collection[int]:
        found: Any = self._log.status().get("in_outbox", ())
        return found

    def status(self) -> dict[str, object]:
        """Return this shard's line of GET /shards."""
        partitions = sorted(self.partitions.values(), key=lambda p: p.id)
        warmer = self._warmer
        return {
            "pid": os.getpid(),
            "partitions": [{"id": p.id, "epoch": p.epoch} for p in partitions],
            "shedding": self._lag_ms > self.settings.shed_lag_ms,
            "games": sum(len(p.cells) for p in partitions),
            "passive_games": sum(p.residents.resting for p in partitions),
            "failed_games": sum(len(p.residents.failed) for p in partitions),
            "to_replay": sum(p.journal.end - p.checkpointed for p in partitions),
            "moves_per_second": round(self._rate, 1),
            "lag_ms": round(self._lag_ms, 2),
            "events": self._events(),
            "snapshots": self._saver.rows,
            "links": len(self._links),
            "log": self._log.status(),
            "hot_state": warmer.status(partitions) if warmer is not None else None,
        }

    async def stop(self, timeout: float) -> None:
        """Give up all partitions in order, then stop listening."""
        await asyncio.gather(*(self._finish(p, timeout) for p in list(self.partitions.values())))
        if self._server is not None:
            self._server.close()
        for link in list(self._links):
            link.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
