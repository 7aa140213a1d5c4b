"""Assignments in Postgres: compare-and-set on the row that also fences the log."""

from __future__ import annotations

from collections.abc import Sequence

from persistence.assignments import Assignment, Conflict, PlanConflict
from persistence.database import Database
from persistence.gathering import Gathering

_Change = tuple[int, str, int]


class PostgresAssignments:
    """`persistence.assignments.AssignmentStore` on Postgres."""

    def __init__(self, database: Database) -> None:
        """Keep the assignments in `database`."""
        self._database = database
        self._gathered = Gathering(self._assign_all)

    async def read(self) -> Sequence[Assignment]:
        """See `AssignmentStore.read`."""
        rows = await self._database.query("SELECT id, epoch, owner FROM partitions ORDER BY id")
        return [Assignment(*row) for row in rows]

    async def assign(self, partition: int, owner: str, expected: int) -> Assignment:
        """See `AssignmentStore.assign`."""
        change = (partition, owner, expected)
        done = await self._gathered.ask([change])
        return done[change] if change in done else await self._assign(*change)

    async def _assign_all(self, changes: Sequence[_Change]) -> dict[_Change, Assignment]:
        """Perform the changes that nothing stands against; return the rows."""
        # A row that an append holds just now is left for a statement of its own: who waits for one
        # row while they hold another may wait for each other.
        partitions, owners, expected = zip(*changes, strict=True)
        rows = await self._database.query(
            "WITH free AS (SELECT p.id, a.owner FROM partitions p"
            " JOIN unnest(%s::int4[], %s::text[], %s::int8[]) AS a (id, owner, expected)"
            " ON p.id = a.id AND p.epoch = a.expected FOR NO KEY UPDATE OF p SKIP LOCKED)"
            " UPDATE partitions p SET epoch = p.epoch + 1, owner = free.owner"
            " FROM free WHERE p.id = free.id RETURNING p.id, p.epoch, p.owner",
            list(partitions),
            list(owners),
            list(expected),
        )
        done = [Assignment(*row) for row in rows]
        return {(each.partition, each.owner, each.epoch - 1): each for each in done}

    async def _assign(self, partition: int, owner: str, expected: int) -> Assignment:
        rows = await self._database.query(
            "UPDATE partitions SET epoch = epoch + 1, owner = %s"
            " WHERE id = %s AND epoch = %s RETURNING id, epoch, owner",
            owner,
            partition,
            expected,
        )
        if rows:
            return Assignment(*rows[0])
        rows = await self._database.query(
            "SELECT id, epoch, owner FROM partitions WHERE id = %s", partition
        )
        raise Conflict(expected, Assignment(*rows[0]) if rows else Assignment(partition, -1, ""))

    async def begin_term(self) -> int:
        """See `AssignmentStore.begin_term`."""
        rows = await self._database.query("UPDATE placement SET term = term + 1 RETURNING term")
        return rows[0][0]

    async def read_plan(self) -> tuple[int, bytes]:
        """See `AssignmentStore.read_plan`."""
        rows = await self._database.query("SELECT plan_version, plan FROM placement")
        return rows[0][0], bytes(rows[0][1])

    async def write_plan(self, version: int, plan: bytes) -> None:
        """See `AssignmentStore.write_plan`."""
        rows = await self._database.query(
            "UPDATE placement SET plan_version = %s, plan = %s WHERE plan_version = %s"
            " RETURNING plan_version",
            version,
            plan,
            version - 1,
        )
        if not rows:
            raise PlanConflict(f"the plan isn't of version {version - 1} any more")
