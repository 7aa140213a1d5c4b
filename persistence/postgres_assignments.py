"""Assignments in Postgres: compare-and-set on the row that also fences the log."""

from __future__ import annotations

from collections.abc import Sequence

from persistence.assignments import Assignment, Conflict
from persistence.database import Database


class PostgresAssignments:
    """`persistence.assignments.AssignmentStore` on Postgres."""

    def __init__(self, database: Database) -> None:
        """Keep the assignments in `database`."""
        self._database = database

    async def read(self) -> Sequence[Assignment]:
        """See `AssignmentStore.read`."""
        rows = await self._database.query("SELECT id, epoch, owner FROM partitions ORDER BY id")
        return [Assignment(*row) for row in rows]

    async def assign(self, partition: int, owner: str, expected: int) -> Assignment:
        """See `AssignmentStore.assign`."""
        async with self._database.transaction() as cursor:
            await cursor.execute(
                "UPDATE partitions SET epoch = epoch + 1, owner = %s"
                " WHERE id = %s AND epoch = %s RETURNING epoch",
                (owner, partition, expected),
            )
            row = await cursor.fetchone()
            if row is None:
                await cursor.execute("SELECT epoch FROM partitions WHERE id = %s", (partition,))
                found = await cursor.fetchone()
                raise Conflict(partition, expected, found[0] if found else -1)
        return Assignment(partition, row[0], owner)
