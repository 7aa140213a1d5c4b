"""Who owns which partition: the authority, changed by compare-and-set only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from persistence.log import LogError


class Assignment(Struct, frozen=True):
    """`owner`, a life of a shard's process, may open `partition` at `epoch`, once."""

    partition: int
    epoch: int
    owner: str


class Conflict(LogError):  # noqa: N818  (the store's word for it)
    """The row was changed by somebody else: compare-and-set found another epoch."""

    def __init__(self, partition: int, expected: int, found: int) -> None:
        super().__init__(f"partition {partition}: expected epoch {expected}, found {found}")
        self.partition = partition
        self.expected = expected
        self.found = found


class AssignmentStore(Protocol):
    """Both methods may raise `persistence.log.Unavailable`."""

    async def read(self) -> Sequence[Assignment]:
        """Return every partition's assignment, by id; epoch 0 and owner "" if never assigned."""
        ...

    async def assign(self, partition: int, owner: str, expected: int) -> Assignment:
        """Give `partition` to `owner` at epoch `expected + 1`, which fences every older owner.

        Raises:
            Conflict: If the epoch is not `expected`.
        """
        ...
