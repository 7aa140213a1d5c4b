"""Snapshots on their way to the store: packed when due, written together, counted when known."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from time import time
from typing import NamedTuple, Protocol

from persistence.hot_state import Warm
from persistence.log import LogError
from persistence.snapshots import Snapshot, SnapshotStore, Stored
from runtime.cell import Cell
from runtime.history import pack_events
from runtime.settings import ShardSettings

_log = logging.getLogger(__name__)


class Pending(NamedTuple):
    """A snapshot that isn't in the store yet; `saved(cell, whole)` hears whether it is, later."""

    number: int
    cell: Cell
    snapshot: Snapshot
    saved: Callable[[Cell, bool], None]


def snapshot_of(partition: int, cell: Cell) -> Callable[[int], Snapshot]:
    """Pack a cell as it is now; return its snapshot for a store that holds a given seq."""
    outline, state, saved = cell.kind.outline(cell.state), cell.pack(), cell.saved
    events, seq, taken_at = cell.events(saved, cell.seq), cell.seq, int(time() * 1000)
    deadline = cell.kind.next_deadline(cell.state)

    def since(base: int) -> Snapshot:
        return Snapshot(
            game=cell.game,
            partition=partition,
            kind=cell.kind.name,
            base=base,
            seq=seq,
            state=state,
            chunk=pack_events(events[base - saved :]),
            status=outline.status,
            moves=outline.moves,
            deadline=deadline,
            seats=[player for _, player in outline.seats],
            taken_at=taken_at,
        )

    return since


class Saver:
    """Writes the snapshots of all partitions of a shard, a statement at a time."""

    def __init__(self, store: SnapshotStore, settings: ShardSettings) -> None:
        """Write to `store` as `settings` say."""
        self._store = store
        self._settings = settings
        self._pending: dict[str, Pending] = {}
        self._some = asyncio.Event()
        self._hurry = asyncio.Event()
        self._drains: list[tuple[int, asyncio.Future[None]]] = []
        self._added = 0
        self.rows = 0

    def add(self, partition: int, cell: Cell, saved: Callable[[Cell, bool], None]) -> None:
        """Take a durable cell as it is now. One snapshot of a game is under way at a time."""
        snapshot = snapshot_of(partition, cell)(cell.saved)
        cell.saving = cell.seq
        self._added += 1
        self._pending[cell.game] = Pending(self._added, cell, snapshot, saved)
        self._some.set()
        if len(self._pending) >= self._settings.save_rows:
            self._hurry.set()

    async def run(self) -> None:
        """Write until cancelled."""
        backoff = 0.1
        while True:
            await self._some.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.save_every):
                    await self._hurry.wait()
            self._hurry.clear()
            batch = list(self._pending.values())[: self._settings.save_rows]
            try:
                held = await self._store.save([pending.snapshot for pending in batch])
            except Exception as error:  # noqa: BLE001  (without it, nothing would ever be saved)
                if not isinstance(error, LogError):
                    _log.exception("snapshots can't be written")
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, 2.0)
                continue
            backoff = 0.1
            self._settle(batch, held)

    def _settle(self, batch: list[Pending], held: dict[str, int]) -> None:
        self.rows += len(batch)
        for pending in batch:
            # A partition that was opened again meanwhile may have put its own there.
            if self._pending.get(pending.cell.game) is pending:
                del self._pending[pending.cell.game]
        if not self._pending:
            self._some.clear()
        for _, cell, snapshot, saved in batch:
            seq = held.get(cell.game, 0)
            cell.saving = 0
            if seq < cell.saved:
                _log.error("game %s: the store has seq %d, not %d", cell.game, seq, cell.saved)
            elif cell.saved < seq <= cell.seq:
                cell.stored(seq)
            if seq != snapshot.seq:
                _log.warning("game %s: stored at %d, not %d", cell.game, seq, snapshot.seq)
            saved(cell, seq >= snapshot.seq)
        self._wake()

    async def drain(self) -> None:
        """Wait until all that was added before is in the store; others get their turn."""
        await asyncio.sleep(0)
        drained: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._drains.append((self._added, drained))
        self._wake()
        await drained

    def _wake(self) -> None:
        """Tell whoever waits for snapshots that are written now, and hurry for the others."""
        # They're written in the order in which they came, so the first is the oldest.
        oldest = next(iter(self._pending.values())).number if self._pending else self._added + 1
        waiting: list[tuple[int, asyncio.Future[None]]] = []
        for number, drained in self._drains:
            if number >= oldest:
                waiting.append((number, drained))
            elif not drained.done():
                drained.set_result(None)
        self._drains = waiting
        if waiting:
            self._hurry.set()


Then = Callable[[Stored | Warm | LogError | None], None]


class Shelf(Protocol):
    """Where games are read from."""

    async def load(self, games: Sequence[str]) -> Mapping[str, Stored | Warm]:
        """Return those of `games` that are there; raises `persistence.log.LogError`."""
        ...


_AT_ONCE = 25
"""After so many games that come to life, and what waited for them, others get their turn."""


class Loader:
    """Reads games from the store, those asked for in one turn of the loop together."""

    def __init__(self, store: Shelf) -> None:
        """Read from `store`."""
        self._store = store
        self._asked: dict[str, list[Then]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    def load(self, game: str, then: Then) -> None:
        """Call `then` with the game, with None if it isn't stored, or with why it can't be read."""
        if not self._asked:
            asyncio.get_running_loop().call_soon(self._start)
        self._asked.setdefault(game, []).append(then)

    def _start(self) -> None:
        asked, self._asked = self._asked, {}
        task = asyncio.create_task(self._run(asked))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, asked: dict[str, list[Then]]) -> None:
        try:
            found = await self._store.load(list(asked))
        except LogError as error:
            for callbacks in asked.values():
                for then in callbacks:
                    then(error)
            return
        async with self._turn:  # many may be answered at once
            for i, (game, callbacks) in enumerate(asked.items(), 1):
                for then in callbacks:
                    then(found.get(game))
                if i % _AT_ONCE == 0 or i == len(asked):
                    await asyncio.sleep(0)
