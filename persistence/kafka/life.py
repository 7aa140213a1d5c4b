"""One life of an owner on real stores: performs what `KafkaOwner` decides, and answers it.

It decides nothing itself. Every rule of the protocol is in `persistence.ownership`, which the
simulation checks; here are the requests, their pauses, and the way from answers to the runtime.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import AbstractEventLoop, Future
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from persistence.kafka import outcomes
from persistence.kafka.brokers import Brokers, BufferFull
from persistence.kafka.outbox import Outbox
from persistence.kafka.outcomes import Outcome
from persistence.kafka.promises import Append, fail, keep
from persistence.log import Claim, Fenced, LogError, Memory, Placed, Record, Unavailable
from persistence.ownership import answers
from persistence.ownership.actions import (
    Action,
    Drop,
    FinishDrain,
    Flushed,
    InitProducer,
    Load,
    LoadOutbox,
    OpenRow,
    Produce,
    ReadKafka,
    Release,
    Request,
    Serve,
    StepDown,
    SwitchRow,
)
from persistence.ownership.answers import Answer
from persistence.ownership.kafka_owner import KafkaOwner
from persistence.ownership.owner import Settings
from persistence.ownership.row import PartitionOpened
from persistence.rows import Opened

_log = logging.getLogger(__name__)
_CLOSED = "the log is closed"
_RELEASED = "released"
_PAUSES_S = (0.05, 0.1, 0.2, 0.5, 1.0)


class Truncated(LogError):  # noqa: N818  (what it is)
    """Kafka's log ends before a place up to which it was acknowledged."""

    def __init__(self, partition: int, checkpoint: int, end: int) -> None:
        super().__init__(
            f"partition {partition} ends at {end} in Kafka, but was read to {checkpoint}:"
            " the topic lost its end, or is another one"
        )


class Health(Protocol):
    """Hears how Kafka does, for all partitions of a process."""

    def heard(self, *, well: bool) -> None:
        """A request was answered, or wasn't."""
        ...


class Life:
    """An owner of one partition at one epoch."""

    def __init__(
        self,
        partition: int,
        epoch: int,
        owner: str,
        stores: tuple[Brokers, Outbox, asyncio.Lock],
        health: Health,
        settings: Settings,
    ) -> None:
        """Own `partition` at `epoch`, which was given to `owner`. Call `open` once.

        The lock is of all lives of a process: while Kafka is away they switch one after the other.
        """
        self.partition = partition
        self.epoch = epoch
        self.machine = KafkaOwner(epoch, owner, settings)
        self._brokers, self._outbox, self._switching = stores
        self._health = health
        self._loop: AbstractEventLoop = asyncio.get_running_loop()
        self._opening: Future[Claim] = self._loop.create_future()
        self._memory: Future[Memory] = self._loop.create_future()
        self._opened: Opened | None = None
        self._head = self._checkpoint = self._known = self._start = 0
        self._tail: list[Placed] | None = None
        self._reach = 0
        """Where the runtime takes the log to end: behind its newest event."""
        self._saved = 0
        """The stored checkpoint, as far as this life knows."""
        self._unknown = 0
        self._performing = self._closing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._mine: dict[type[Request], Callable[[Any], Awaitable[Answer]]] = {
            OpenRow: self._open_row,
            FinishDrain: self._finish_drain,
            SwitchRow: self._switch,
            InitProducer: self._init_producer,
            ReadKafka: self._read_kafka,
            Load: self._load,
            LoadOutbox: self._load_outbox,
        }

    # --- what the runtime wants ------------------------------------------------------------------

    async def open(self, known: int = 0) -> Claim:
        """Claim the partition and return what is to be replayed; read nothing below `known`.

        While Kafka is away, and the partition isn't in the outbox, it goes on trying.

        Raises:
            Fenced: If it isn't ours (any more).
            Unavailable: If nobody knows whether the epoch was opened.
        """
        self._known = known
        self.machine.tick(self._loop.time() * 1000)
        self.machine.open()
        self.perform()
        return await self._opening

    def attach(self, memory: Memory) -> None:
        """See `EventLog.attach`."""
        self._memory.set_result(memory)

    def take_tail(self, start: int, end: int) -> list[Placed] | None:
        """Return what a replay begins with, if that is asked for, once: the claim read it."""
        if (start, end) != (self._start, self._head):
            return None
        tail, self._tail = self._tail, None
        return tail

    def append(self, records: Sequence[Record]) -> Future[int]:
        """See `EventLog.append`."""
        future: Future[int] = self._loop.create_future()
        if self.machine.closed:
            future.set_exception(Fenced(self.partition, self.epoch))
            return future
        self.machine.propose(records, Append(future))
        self.machine.commit()
        self.perform()
        return future

    @property
    def in_outbox(self) -> bool:
        """Whether events go to Postgres."""
        return self.machine.phase == "outbox" and not self.machine.closed

    @property
    def stuck(self) -> bool:
        """Whether something has waited for its acknowledgement for longer than a switch takes."""
        return self.machine.waiting(self._loop.time() * 1000) > 2 * self.machine.settings.doubt_ms

    def saved(self, checkpoint: int) -> None:
        """Note that the stored checkpoint is that far."""
        self._saved = max(self._saved, checkpoint)

    def behind_claims(self) -> int | None:
        """Return where a replay may begin if nothing but claims lies behind the checkpoint.

        An owner claims again every 12 hours, and Kafka forgets what is as old as its retention: a
        checkpoint that stayed where the last event was would be forgotten with it. None: there's
        more behind it, or nothing.
        """
        machine = self.machine
        idle = machine.phase == "kafka" and machine.serving and not machine.closed
        batches = machine.batches
        if not idle or batches.flight is not None or batches.open.records:
            return None
        return machine.end if self._reach <= self._saved < machine.end else None

    def tick(self) -> None:
        """Let the owner do what is due."""
        self.machine.tick(self._loop.time() * 1000)
        self.perform()

    def breaker(self, *, away: bool) -> None:
        """Kafka counts as away, or doesn't any more."""
        self.machine.breaker(away)
        self.perform()

    def superseded(self, epoch: int) -> None:
        """Somebody says that the partition's epoch is `epoch`."""
        self.machine.superseded(epoch)
        self.perform()

    def release(self) -> None:
        """Append nothing more. What is under way may still land, but nobody is told."""
        self.machine.seal()
        self.machine.release()
        self.perform()

    def close(self) -> None:
        """Stop at once; nobody knows what becomes of that which is under way."""
        self._closing = True
        self.machine.step_down(_CLOSED)
        self.perform()

    # --- performing ------------------------------------------------------------------------------

    def perform(self) -> None:
        """Perform what the machine wants, until it wants nothing more."""
        if self._performing:  # an answer within a request: the loop below takes it
            return
        self._performing = True
        try:
            while actions := self.machine.take():
                self._release([each for each in actions if isinstance(each, Release)])
                for action in actions:
                    self._perform(action)
        finally:
            self._performing = False

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _perform(self, action: Action) -> None:
        match action:
            case Release():
                pass  # done already, all of a turn together
            case Produce():
                self._produce(action)
            case Request():
                self._spawn(self._ask(action))
            case Serve():
                self._serve()
            case Drop():
                # Loading a few games anew is what a take-over does: let the next owner do it.
                fail(action.outputs, Fenced(self.partition, self.epoch))
                self.machine.step_down("a batch was refused")
            case StepDown():
                self._end(action)
            case Flushed():
                pass
            case _:
                raise TypeError(f"no such action: {action!r}")

    def _answer(self, answer: Answer) -> None:
        if not isinstance(answer, answers.Unknown):
            self._unknown = 0
        self.machine.receive(answer)
        self.perform()

    async def _ask(self, request: Request) -> None:
        """Perform what isn't an append to Kafka; a store that doesn't answer has a pause."""
        try:
            answer = await self._answered(request)
        except Unavailable as error:
            _log.info("partition %d: no answer to %s: %s", self.partition, type(request).__name__,
                error)  # fmt: skip
            if isinstance(request, OpenRow):
                self._fail_opening(error)
            await asyncio.sleep(_PAUSES_S[min(self._unknown, len(_PAUSES_S) - 1)])
            self._unknown += 1
            answer = answers.Unknown(request.number)
        except Exception as error:  # noqa: BLE001  (whatever it is, this owner can't go on)
            _log.exception("partition %d: %s failed", self.partition, type(request).__name__)
            self._broken(error)
            return
        self._answer(answer)

    async def _answered(self, request: Request) -> Answer:
        mine = self._mine.get(type(request))
        if mine is not None:
            return await mine(request)
        return await self._outbox.perform(self.partition, request)

    # --- Kafka -----------------------------------------------------------------------------------

    def _produce(self, request: Produce) -> None:
        batch = [self._told(e) if isinstance(e, PartitionOpened) else e for e in request.batch]
        try:
            produced = self._brokers.produce(
                self.partition, request.producer, request.sequence, batch, self.epoch
            )
        except BufferFull as error:
            _log.warning("partition %d: %s", self.partition, error)
            self._loop.call_later(_PAUSES_S[0], self._answer, answers.Unknown(request.number))
        else:
            produced.add_done_callback(partial(self._produced, request.number))

    def _told(self, claim: PartitionOpened) -> PartitionOpened:
        """The claim with what we know of the time before."""
        opened = self._opened
        if opened is None:
            return claim
        return claim._replace(at=opened.at, alive_until=opened.alive_until)

    def _produced(self, number: int, produced: Future[Outcome]) -> None:
        match produced.result():
            case outcomes.Acked(offset):
                self._health.heard(well=True)
                self._answer(answers.Acked(number, offset))
            case outcomes.Fenced():
                self._health.heard(well=True)
                self._answer(answers.Fenced(number))
            case outcomes.Refused(reason):
                _log.error("partition %d: Kafka refuses a batch: %s", self.partition, reason)
                self._answer(answers.Refused(number))
            case outcomes.Unknown(reason):
                _log.info("partition %d: a batch is in doubt: %s", self.partition, reason)
                self._health.heard(well=False)
                self._loop.call_later(_PAUSES_S[0], self._answer, answers.Unknown(number))

    async def _init_producer(self, request: InitProducer) -> Answer:
        try:
            producer = await self._brokers.init_producer(self.partition)
        except Unavailable:
            self._health.heard(well=False)
            raise
        return answers.ProducerReady(request.number, producer)

    async def _read_kafka(self, request: ReadKafka) -> Answer:
        if request.start > request.end:
            raise Truncated(self.partition, request.start, request.end)
        read = self._brokers.read(self.partition, request.start, request.end)
        return answers.KafkaRead(request.number, [e async for batch in read for _, e in batch])

    # --- state -----------------------------------------------------------------------------------

    async def _open_row(self, request: OpenRow) -> Answer:
        answer, self._opened = await self._outbox.open(self.partition, request)
        self._spawn(self._tidy())
        return answer

    async def _finish_drain(self, request: FinishDrain) -> Answer:
        answer = await self._outbox.perform(self.partition, request)
        self._spawn(self._tidy())
        return answer

    async def _tidy(self) -> None:
        with suppress(Unavailable):  # the next drain, or the next life, goes on with it
            await self._outbox.tidy(self.partition)

    async def _load(self, request: Load) -> Answer:
        if request.start > request.end + 1:
            raise Truncated(self.partition, request.start, request.end)
        tail: list[Placed] = []
        highest = 0
        known = self._known <= request.end + 1  # else it's of another log
        start = max(request.start, self._known) if known else request.start
        read = self._brokers.read(self.partition, start, request.end)
        async for batch in read:
            for offset, entry in batch:
                if isinstance(entry, PartitionOpened):
                    highest = max(highest, entry.epoch)
                else:
                    tail.append((offset, entry))
        self._tail = tail
        self._start, self._checkpoint, self._head = start, request.start, request.end + 1
        return answers.Loaded(request.number, highest)

    async def _load_outbox(self, request: LoadOutbox) -> Answer:
        rows = await self._outbox.load(self.partition, request)
        if rows is None:
            return answers.NotOurs(request.number)
        assert self._opened is not None
        offset = self._opened.row.offset
        self._tail = [(offset + place, record) for place, record in enumerate(rows)]
        self._start = self._checkpoint = offset
        self._head = offset + len(rows)
        return answers.Loaded(request.number, 0, len(rows))

    async def _switch(self, request: SwitchRow) -> Answer:
        """Take along what came since the request was made, and every game as it is now."""
        memory = await self._memory
        await memory.whole()
        async with self._switching:
            await asyncio.sleep(0)  # the others' moves have their turn between two of these
            return await self._switch_with(memory, request)

    async def _switch_with(self, memory: Memory, request: SwitchRow) -> Answer:
        records, unsaved = memory.surrender()
        if records:
            flight = self.machine.batches.flight or self.machine.batches.following
            assert flight is not None
            append = next(each for each in flight.outputs if isinstance(each, Append))
            append.join()
            self.machine.follow(records, append)
        rows = [*request.rows, *records]
        return await self._outbox.switch(self.partition, request, rows, unsaved, request.offset)

    # --- news ------------------------------------------------------------------------------------

    def _serve(self) -> None:
        opened = self._opened
        assert opened is not None
        if not self._opening.done():
            self._reach, self._saved = self._head, self._checkpoint
            self._opening.set_result(
                Claim(
                    self.partition,
                    self.epoch,
                    self._head,
                    self._checkpoint,
                    opened.alive_until,
                    opened.at,
                    opened.outages,
                )
            )

    def _release(self, releases: Sequence[Release]) -> None:
        machine = self.machine
        end = machine.end + (machine.places if machine.phase == "outbox" else 0)
        if releases:
            self._reach = end
        keep(releases, end)

    def _end(self, action: StepDown) -> None:
        if action.reason not in (_RELEASED, _CLOSED):
            _log.warning("partition %d, epoch %d: %s", self.partition, self.epoch, action.reason)
        error = Unavailable(action.reason) if self._closing else Fenced(self.partition, self.epoch)
        fail(action.outputs, error)
        self._fail_opening(error)
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()

    def _broken(self, error: Exception) -> None:
        """A request can't be performed, now or later."""
        if isinstance(error, LogError):
            self._fail_opening(error)
        self.machine.step_down(f"{type(error).__name__}: {error}")
        self.perform()

    def _fail_opening(self, error: LogError) -> None:
        if not self._opening.done():
            self._opening.set_exception(error)
