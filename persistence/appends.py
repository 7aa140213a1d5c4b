"""The appends of one owner to Postgres: shared statements, and what is done about doubt.

At most one statement is in flight; what is appended meanwhile joins the next. A statement whose
outcome is unknown (connection lost, error, silence) is settled before anything else is sent:
raising the row's version under its lock makes it impossible that the old statement still lands,
and then the head tells whether it had. If it hadn't, the same records are sent again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import psycopg
from msgspec import Struct
from psycopg import pq

from persistence.append_statement import (
    APPEND,
    APPEND_TYPES,
    Entry,
    Owned,
    encode,
    parameters,
)
from persistence.log import Fenced, Record, Unavailable
from persistence.wire import Wire

_log = logging.getLogger(__name__)
_MOST_RECORDS = 5_000
_MOST_BYTES = 8 << 20
_PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.0)
STUCK_S = 10.0
"""A statement without an answer for so long counts as of unknown outcome."""

Settle = Callable[[int, int], Awaitable[tuple[int, int] | None]]
"""(partition, epoch) -> (version, head) of the row with its version raised; None: not ours."""


class Counters(Struct):
    """What was done so far: statements answered, records in them, seconds until the answers."""

    statements: int = 0
    records: int = 0
    seconds: float = 0.0
    doubts: int = 0


class Appends:
    """The queue, the statement in flight and the doubt. Belongs to the running loop."""

    def __init__(self, dsn: str, settle: Settle, statement: str = APPEND) -> None:
        """Append by a connection of its own to `dsn`."""
        self.counters = Counters()
        self.doubt_since: float | None = None
        """Loop time since when the connection is lost or an outcome unknown; None: all is well."""
        self._dsn = dsn
        self._settle = settle
        self._statement = statement
        self._loop = asyncio.get_running_loop()
        self._wire: Wire | None = None
        self._owned: dict[int, Owned] = {}
        self._queue: deque[Entry] = deque()
        self._flight: list[Entry] = []
        self._sent_at = 0.0
        self._starting = False
        self._watchdog: asyncio.TimerHandle | None = None
        self._repairing: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def waiting_since(self) -> float | None:
        """Loop time at which the statement was sent that has no answer yet."""
        return self._sent_at if self._flight else None

    def own(self, partition: int, epoch: int, version: int, head: int) -> None:
        """Append to `partition` under `epoch` from now on."""
        self._owned[partition] = Owned(epoch, version, head)

    def append(self, partition: int, epoch: int, records: Sequence[Record]) -> asyncio.Future[int]:
        """See `EventLog.append`.

        Raises:
            ValueError: If a record can't be stored: nothing may wait behind it for ever.
        """
        future: asyncio.Future[int] = self._loop.create_future()
        if self._closed:
            future.set_exception(Unavailable("the log is closed"))
            return future
        self._queue.append(encode(partition, epoch, records, future))
        if not self._starting and not self._flight:
            self._starting = True
            self._loop.call_soon(self._start)
        return future

    # --- the statement -----------------------------------------------------------------------

    def _start(self) -> None:
        self._starting = False
        self._send()

    def _send(self) -> None:
        """Send what is queued as one statement, unless one is in flight or in doubt."""
        if self._flight or self._closed or self._repairing is not None:
            return
        if self._wire is None:
            self._repair()
            return
        taken = self._take()
        if not taken:
            return
        self._flight = taken
        self._sent_at = self._loop.time()
        if self._watchdog is None:
            self._watchdog = self._loop.call_later(STUCK_S, self._watch)
        try:
            owned = [self._owned[entry.partition] for entry in taken]
            self._wire.send(parameters(taken, owned))
        except psycopg.Error as error:
            self._lost(error)

    def _take(self) -> list[Entry]:
        """Take entries for one statement, one a partition; those that are not ours fail here."""
        taken: dict[int, Entry] = {}
        later: list[Entry] = []
        records = size = 0
        while self._queue and records < _MOST_RECORDS and size < _MOST_BYTES:
            entry = self._queue.popleft()
            mine = self._owned.get(entry.partition)
            if mine is None or mine.epoch != entry.epoch:
                _fail(entry, Fenced(entry.partition, entry.epoch))
            elif entry.partition in taken:
                later.append(entry)
            else:
                entry.first = mine.head
                taken[entry.partition] = entry
                records += entry.count
                size += len(entry.values) + len(entry.keys) + len(entry.games)
        self._queue.extendleft(reversed(later))
        return list(taken.values())

    def _answered(self, result: pq.abc.PGresult) -> None:
        if result.status != pq.ExecStatus.TUPLES_OK:
            self._doubt((result.error_message or b"an error").decode(errors="replace"))
            return
        counters = self.counters
        counters.statements += 1
        counters.seconds += self._loop.time() - self._sent_at
        value, number = result.get_value, int.from_bytes
        held = {
            number(value(i, 0) or b"", "big"): number(value(i, 1) or b"", "big")
            for i in range(result.ntuples)
        }
        missed: list[Entry] = []
        for entry in self._flight:
            first = held.get(entry.partition)
            if first is None:
                missed.append(entry)
            else:
                counters.records += entry.count
                self._landed(entry, first)
        self._flight = missed
        if missed:
            # Fenced, or overtaken by a settlement of our own that was thought lost: ask the row.
            self._repair()
        elif self._queue:
            self._send()

    def _landed(self, entry: Entry, first: int) -> None:
        mine = self._mine(entry)
        if mine is not None:
            mine.head = first + entry.count
        if not entry.future.done():
            entry.future.set_result(first)

    def _mine(self, entry: Entry) -> Owned | None:
        """What we own of the entry's partition, if it's still under the entry's epoch."""
        mine = self._owned.get(entry.partition)
        return mine if mine is not None and mine.epoch == entry.epoch else None

    # --- doubt -------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Cut the connection under a statement that was sent too long ago."""
        self._watchdog = None
        if self._flight and self._repairing is None:
            left = self._sent_at + STUCK_S - self._loop.time()
            if left <= 0:
                self._doubt(f"no answer for {STUCK_S:.0f} s")
            else:
                self._watchdog = self._loop.call_later(left, self._watch)

    def _lost(self, error: Exception) -> None:
        self._doubt(str(error).strip())

    def _doubt(self, why: str) -> None:
        """The connection is of no use, and the outcome of what is in flight unknown."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None
        if self.doubt_since is None:
            self.doubt_since = self._loop.time()
            self.counters.doubts += 1
            _log.warning("the log's connection is lost, %d appends in doubt: %s",
                len(self._flight), why)  # fmt: skip
        self._repair()

    def _repair(self) -> None:
        if self._repairing is None and not self._closed:
            self._repairing = self._loop.create_task(self._repair_until_well())

    async def _repair_until_well(self) -> None:
        """Settle what is in doubt and connect anew, however long it takes."""
        tries = 0
        while not self._closed:  # a cancellation alone may get lost in Python 3.11's `wait_for`
            try:
                await self._settle_flight()
                if self._wire is None:
                    wire = await Wire.open(self._dsn, self._statement, APPEND_TYPES)
                    wire.answered, wire.lost = self._answered, self._lost
                    self._wire = wire
                break
            except Unavailable as error:
                _log.info("the log is away: %s", error)
            except Exception:  # noqa: BLE001  (giving up would leave every append without an answer)
                _log.exception("the log can't settle what is in doubt")
            if self.doubt_since is None:
                self.doubt_since = self._loop.time()
            await asyncio.sleep(_PAUSES_S[min(tries, len(_PAUSES_S) - 1)])
            tries += 1
        self.doubt_since = None
        self._repairing = None
        self._send()

    async def _settle_flight(self) -> None:
        """Make known what became of each entry in flight; what didn't land is queued again."""
        while self._flight:
            entry = self._flight[0]
            row = await self._settle(entry.partition, entry.epoch)
            self._flight.pop(0)
            mine = self._mine(entry)
            if row is None or mine is None:
                self._disown(entry)
                continue
            mine.version, head = row
            if head == entry.first + entry.count:
                self._landed(entry, entry.first)
            elif head == entry.first:
                self._queue.appendleft(entry)
            else:
                _log.critical("partition %d: head is %d, was %d: somebody else wrote under epoch"
                    " %d, or the data was put back", entry.partition, head, entry.first,
                    entry.epoch)  # fmt: skip
                self._disown(entry)

    def _disown(self, entry: Entry) -> None:
        if self._mine(entry) is not None:
            del self._owned[entry.partition]
        _fail(entry, Fenced(entry.partition, entry.epoch))

    async def close(self) -> None:
        """Give up what is in doubt, and hang up."""
        self._closed = True
        if self._watchdog is not None:
            self._watchdog.cancel()
        if self._repairing is not None:
            self._repairing.cancel()
            await asyncio.gather(self._repairing, return_exceptions=True)
        if self._wire is not None:
            self._wire.close()
        for entry in (*self._flight, *self._queue):
            _fail(entry, Unavailable("the log is closed"))
        self._flight = []
        self._queue.clear()


def _fail(entry: Entry, error: Exception) -> None:
    if not entry.future.done():
        entry.future.set_exception(error)
