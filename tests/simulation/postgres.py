"""Postgres: each call is one transaction under the lock of the partition's row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from persistence.log import Record
from persistence.ownership import actions
from persistence.ownership.row import Row
from simulation.truth import Truth
from simulation.world import Violation, World

FETCH = 4
"""Rows of the outbox that are read at once: few, so that a drain has many steps."""


class Snapshot(NamedTuple):
    """A game at `base + len(chunk)`; it counts only if the store is at `base`."""

    game: str
    base: int
    chunk: tuple[bytes, ...]


class Save(NamedTuple):
    """Write snapshots."""

    snapshots: tuple[Snapshot, ...]


class Checkpoint(NamedTuple):
    """Below `offset` everything is in the snapshots."""

    epoch: int
    offset: int


class Partition:
    """The mutable row, and what hangs on it."""

    def __init__(self, world: World, truth: Truth, name: str, mode: str) -> None:
        self._world, self._truth = world, truth
        self.name = name
        self.mode = mode
        self.epoch = self.version = self.opened = 0
        self.owner = ""
        self.head = self.offset = self.checkpoint = 0
        self.producer_id: int | None = None
        self.outbox: dict[int, Record] = {}
        self.log: list[Record] = []
        self.snapshots: dict[str, list[bytes]] = {}

    def row(self) -> Row:
        """Return the row as it is."""
        return Row(
            self.epoch, self.owner, self.mode, self.version,  # type: ignore[arg-type]
            self.head, self.offset, self.checkpoint, self.producer_id,
        )  # fmt: skip

    # --- the coordinator --------------------------------------------------------------------------

    def assign(self, owner: str, expected: int) -> bool:
        """Give the partition to `owner` at epoch `expected + 1`, if it's at `expected`."""
        if self.epoch != expected:
            return False
        self.epoch += 1
        self.owner = owner
        return True

    # --- the owner: does its condition hold? What is done then? ------------------------------------

    def holds(self, request: actions.Request) -> bool:
        """Whether the row allows `request`."""
        if type(request) is actions.OpenRow:
            mine = (self.epoch, self.owner) == (request.epoch, request.owner)
            return mine and self.opened < request.epoch
        if request.epoch != self.epoch:  # type: ignore[attr-defined]
            return False
        version = getattr(request, "version", None)
        return version is None or version == self.version

    def open(self, request: actions.OpenRow) -> None:
        """Do it."""
        self.opened = request.epoch
        self.version += 1

    def note(self, request: actions.NoteProducer) -> None:
        """Do it."""
        self.producer_id = request.producer_id

    def raise_version(self, request: actions.RaiseVersion) -> None:
        """Do it."""
        self.version += 1

    def append(self, request: actions.AppendLog) -> int:
        """Do it; return the offset of the first record."""
        first = self.head
        self.head += len(request.records)
        for record in request.records:
            self.log.append(record)
            self._truth.durable(record, "the log")
        return first

    def switch(self, request: actions.SwitchRow, snapshots: Sequence[Snapshot]) -> None:
        """Do it."""
        self.mode = "outbox"
        self.offset = self.checkpoint = request.offset
        self.version += 1
        if self.outbox:
            raise Violation("a switch finds rows in the outbox")
        self._rows(0, request.rows)
        for game, base, chunk in snapshots:
            # A snapshot of unknown outcome may have landed: here what is stored counts, not `base`.
            stored = self.snapshots.setdefault(game, [])
            if len(stored) < base:
                raise Violation(f"the snapshot of {game} went back to {len(stored)} from {base}")
            stored.extend(chunk[len(stored) - base :])

    def insert(self, request: actions.AppendRows) -> bool:
        """Do it; return whether there was no conflict."""
        places = {(row.game, row.seq): place for place, row in self.outbox.items()}
        for place, row in enumerate(request.rows, request.place):
            if (
                self.outbox.get(place, row) != row
                or places.get((row.game, row.seq), place) != place
            ):
                return False
        self._rows(request.place, request.rows)
        return True

    def _rows(self, first: int, rows: Sequence[Record]) -> None:
        for place, row in enumerate(rows, first):
            if place not in self.outbox:
                self.outbox[place] = row
                self._truth.durable(row, "the outbox")

    def rows(self, first: int = 0, most: int | None = None) -> list[Record]:
        """Return the outbox's rows from place `first` on, in their order."""
        places = sorted(place for place in self.outbox if place >= first)
        return [self.outbox[place] for place in places[:most]]

    def finish(self, request: actions.FinishDrain) -> None:
        """Do it."""
        for place in [place for place in self.outbox if place < request.places]:
            del self.outbox[place]
        self.mode = "kafka"
        self.version += 1

    # --- snapshots --------------------------------------------------------------------------------

    def save(self, snapshots: Sequence[Snapshot]) -> dict[str, int]:
        """Write those whose base is what is stored; return where each game is now."""
        for game, base, chunk in snapshots:
            stored = self.snapshots.setdefault(game, [])
            if len(stored) == base:
                stored.extend(chunk)
        return {game: len(self.snapshots[game]) for game, *_ in snapshots}

    def note_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Move it forward, for the owner only."""
        if checkpoint.epoch == self.epoch and checkpoint.offset > self.checkpoint:
            self.checkpoint = checkpoint.offset
