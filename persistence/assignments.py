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
    """The row was changed by somebody else: compare-and-set found another epoch (or version).

    Attributes:
        expected: The epoch that was expected.
        found: The row as it is.
    """

    def __init__(self, expected: int, found: Assignment) -> None:
        super().__init__(
            f"partition {found.partition}: expected epoch {expected}, found {found.epoch}"
        )
        self.expected = expected
        self.found = found


class PlanConflict(LogError):  # noqa: N818  (the store's word for it)
    """Somebody else changed the plan: it isn't of the expected version."""


class AssignmentStore(Protocol):
    """Every method may raise `persistence.log.Unavailable`."""

    async def read(self) -> Sequence[Assignment]:
        """Return every partition's assignment, by id; epoch 0 and owner "" if never assigned."""
        ...

    async def assign(self, partition: int, owner: str, expected: int) -> Assignment:
        """Give `partition` to `owner` at epoch `expected + 1`, which fences every older owner.

        Raises:
            Conflict: If the epoch is not `expected`.
        """
        ...

    async def begin_term(self) -> int:
        """Return a number higher than every one that this returned before."""
        ...

    async def read_plan(self) -> tuple[int, bytes]:
        """Return the stored plan's version and its bytes; 0 and empty if there is none."""
        ...

    async def write_plan(self, version: int, plan: bytes) -> None:
        """Replace the plan of version `version - 1`.

        Raises:
            PlanConflict: If the stored one is of another version.
        """
        ...
