"""Group commit of one partition: one append in flight while the next batch fills.

The journal also knows from where a replay must begin: below the oldest event that is in no
snapshot yet, or whose effect no other game has taken yet.
"""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from actors.behaviour import Effect
from persistence.log import Claim, EventLog, Fenced, LogError, Record
from runtime.batch import Batch, Note, Sink
from runtime.cell import Cell
from runtime.settings import ShardSettings

_log = logging.getLogger(__name__)
_STALL_S = 0.5
"""An append that takes longer is an outage: what it holds couldn't be seen for so long.

Not less, because each game's next event then comes with one more, which excuses the time; a shard
that is merely busy mustn't be given twice the events for it."""


class Keeper(Protocol):
    """Who keeps the games of a journal, and speaks for them."""

    def committed(self, batch: Batch) -> None:
        """A batch is durable."""
        ...

    def stalled(self, seconds: float) -> None:
        """The batch that is durable now took that long; told just before `committed`."""
        ...

    def dropped(self, batch: Batch) -> None:
        """A batch will not be known to be durable here; it was, perhaps, if it was in flight."""
        ...

    def fenced(self) -> None:
        """The log is closed to this owner, which is told once."""
        ...


class Journal:
    """Takes events in order; tells `committed(batch)` when they are durable."""

    def __init__(
        self,
        claim: Claim,
        log: EventLog,
        settings: ShardSettings,
        loop: AbstractEventLoop,
        keeper: Keeper,
    ) -> None:
        """Append to `log` under `claim`, and tell `keeper` what became of it."""
        self.partition = claim.partition
        self.epoch = claim.epoch
        self.end = claim.head
        """The offset after the newest event, durable or not."""
        self._log = log
        self._settings = settings
        self._loop = loop
        self._keeper = keeper
        self._open = Batch()
        self._flight: Batch | None = None
        self._flight_since = 0.0
        self._scheduled = False
        self._closed = False
        self._quiet: list[Future[None]] = []
        self._dirty: dict[str, int] = {}
        self._ends: deque[tuple[float, int]] = deque()
        """Where the log ended when; so no game keeps a time of its own."""
        self._saving: dict[str, int] = {}
        self._unsent: dict[int, int] = {}

    @property
    def stuck(self) -> bool:
        """Whether the log doesn't keep up, so that commands are better turned away."""
        if self._flight is None:
            return False
        late = self._loop.time() - self._flight_since > self._settings.doubt_after
        return late or len(self._open.records) >= self._settings.open_records

    @property
    def batch(self) -> Batch:
        """The batch that takes what is added now."""
        return self._open

    def add(
        self, cell: Cell, values: Sequence[bytes], mark: bytes, asker: tuple[Sink | None, int]
    ) -> None:
        """Put the cell's next events in the open batch. The first answers `asker` (link, reply)."""
        batch, game, seq = self._open, cell.game, cell.seq
        if game not in self._dirty:
            self._dirty[game] = self.end
        link, reply = asker
        for value in values:
            seq += 1
            batch.records.append(Record(game, seq, value, mark))
            batch.notes.append(Note(cell, seq, value, link, reply))
            mark, reply = b"", 0
        self.end += len(values)
        cell.seq = seq
        cell.batch = batch
        if not self._scheduled and self._flight is None:
            self._scheduled = True
            self._loop.call_soon(self._commit)

    def _commit(self) -> None:
        self._scheduled = False
        if self._closed or self._flight is not None or not self._open.records:
            return
        batch = self._flight = self._open
        self._open = Batch()
        self._flight_since = self._loop.time()
        try:
            appended = self._log.append(self.partition, self.epoch, batch.records)
        except Exception:  # noqa: BLE001  (these can't be stored, nor may what follows them)
            _log.exception("partition %d: an append is impossible", self.partition)
            self.close()
            self._keeper.fenced()
            return
        appended.add_done_callback(partial(self._appended, batch))

    def _appended(self, batch: Batch, appended: Future[int]) -> None:
        if self._closed or appended.cancelled():
            return
        self._flight = None
        error = appended.exception()
        if error is None:
            # What isn't ours may have come between: then all lies further on than we thought, and
            # what is noted with a lower offset is only replayed sooner than needed.
            first = self.end - len(self._open.records) - len(batch.records)
            if appended.result() < first:
                _log.critical("partition %d: the log ends at %d, it had %d records: it lost some",
                    self.partition, appended.result(), first)  # fmt: skip
                self.close()
                self._keeper.fenced()
                return
            self.end += appended.result() - first
            if (took := self._loop.time() - self._flight_since) > _STALL_S:
                self._keeper.stalled(took)
            self._keeper.committed(batch)
            self._commit()
            if self._flight is None:
                self._wake()
            return
        if not isinstance(error, LogError):
            _log.error("partition %d: append failed", self.partition, exc_info=error)
        elif isinstance(error, Fenced):
            _log.warning("partition %d: fenced at epoch %d", self.partition, self.epoch)
        self.close()
        self._keeper.fenced()

    def _wake(self) -> None:
        quiet, self._quiet = self._quiet, []
        for future in quiet:
            if not future.done():
                future.set_result(None)

    def surrender(self) -> list[Record]:
        """Let the open batch become durable with the one in flight; return its records."""
        if self._flight is None:
            return []
        joined, self._open = self._open, Batch()
        self._flight.extend(joined)
        return joined.records

    async def quiet(self) -> None:
        """Wait until nothing is undurable (or the journal is closed)."""
        while not self._closed and (self._flight or self._open.records):
            future: Future[None] = self._loop.create_future()
            self._quiet.append(future)
            await future

    def close(self) -> None:
        """Append no more; what is open is dropped, what is in flight may still land."""
        if self._closed:
            return
        self._closed = True
        for batch in (self._flight, self._open):
            if batch is not None:
                self._keeper.dropped(batch)
        self._wake()

    # --- what a replay would need ------------------------------------------------------------

    def replayed(self, game: str, offset: int) -> None:
        """Note an event read from the log that perhaps no snapshot holds. In the log's order."""
        self._dirty.setdefault(game, offset)

    def clean(self, game: str) -> None:
        """A snapshot holds all that was read from the log of `game`."""
        self._dirty.pop(game, None)

    def sending(self, offset: int, effects: Sequence[Effect]) -> None:
        """Keep the event at `offset` in the log until its effects were taken."""
        self._unsent[offset] = self._unsent.get(offset, 0) + len(effects)

    def sent(self, offset: int) -> None:
        """One effect of the event at `offset` was taken by its game."""
        self._unsent[offset] -= 1
        if not self._unsent[offset]:
            del self._unsent[offset]

    def snapshotting(self, game: str) -> None:
        """A snapshot with all events of `game` so far is on its way to the store."""
        entry = self._dirty.pop(game, None)
        if entry is not None:
            self._saving[game] = entry

    def snapshotted(self, game: str) -> None:
        """That snapshot is in the store."""
        self._saving.pop(game, None)

    def unsnapshotted(self, game: str) -> None:
        """That snapshot isn't in the store: the game is as unsaved as before."""
        offset = self._saving.pop(game, None)
        if offset is not None:
            self._dirty = {game: offset, **{g: o for g, o in self._dirty.items() if g != game}}

    def unsaved_since(self, moment: float, now: float) -> list[str]:
        """Return the games whose oldest unsaved event came before `moment` (loop times).

        It knows time only as finely as it's called.
        """
        ends = self._ends
        if not ends or ends[-1][1] != self.end:
            ends.append((now, self.end))
        while len(ends) > 1 and ends[1][0] <= moment:
            ends.popleft()
        since, end = ends[0]
        old: list[str] = []
        for game, offset in self._dirty.items():
            if since > moment or offset >= end:
                break
            old.append(game)
        return old

    @property
    def done(self) -> int:
        """The offset below which all is durable, and every effect was taken."""
        undurable = len(self._open.records)
        if self._flight is not None:
            undurable += len(self._flight.records)
        return min(self.end - undurable, min(self._unsent, default=self.end))

    @property
    def sends(self) -> bool:
        """Whether effects of events in the log weren't taken yet."""
        return bool(self._unsent)

    def unsaved(self) -> list[str]:
        """Return all games with events that no snapshot in the store holds."""
        return [*self._dirty, *self._saving]

    def checkpoint(self) -> int:
        """Return the offset from which a replay must begin."""
        return min(
            self.end,
            min(self._dirty.values(), default=self.end),
            min(self._saving.values(), default=self.end),
            min(self._unsent, default=self.end),
        )
