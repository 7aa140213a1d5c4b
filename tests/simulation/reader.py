"""A reader of both places: the outbox first, then Kafka, because rows move from one to the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from persistence.log import Record
from simulation.world import Violation

if TYPE_CHECKING:
    from simulation.system import PartitionStores, System


def merge(log: Sequence[object], rows: Sequence[Record], who: str) -> dict[str, list[bytes]]:
    """Return every game's history: the log, then the outbox; what comes again is passed over.

    Raises:
        Violation: If an event is missing in between.
    """
    games: dict[str, list[bytes]] = {}
    for entry in (*log, *rows):
        if isinstance(entry, Record):
            history = games.setdefault(entry.game, [])
            if entry.seq == len(history) + 1:
                history.append(entry.value)
            elif entry.seq > len(history):
                raise Violation(f"{who} finds {entry} after #{len(history)}")
    return games


class Reader:
    """Reads a partition at some moment; all that was told before has to be in it."""

    def __init__(self, system: System, stores: PartitionStores) -> None:
        self.system, self.world, self.stores = system, system.world, stores
        self.rows: Sequence[Record] = ()
        self.log: Sequence[object] = ()
        self._told: dict[str, int] = {}
        self.world.at(self.world.random() * self.world.fault_end, self.start)

    def start(self) -> None:
        """Begin to read."""
        self._told = {
            game: max(told.values(), default=0) for game, told in self.system.truth.acked.items()
        }
        self.first()
        self.world.at(self.world.latency(), self.go_on)

    def go_on(self) -> None:
        """Read the other place, and compare."""
        self.second()
        found = merge(self.log, self.rows, "a reader")
        for game, seq in self._told.items():
            if game.startswith(self.stores.prefix) and len(found.get(game, ())) < seq:
                raise Violation(f"a reader doesn't find {game} #{seq}, which was told before")

    def first(self) -> None:
        """Read the outbox."""
        self.rows = self.stores.row.rows()

    def second(self) -> None:
        """Read Kafka."""
        self.log = tuple(self.stores.log())
