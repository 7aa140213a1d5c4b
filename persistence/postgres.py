"""All stores on one Postgres, for a process that composes them."""

from __future__ import annotations

from persistence.database import Database
from persistence.names import Names
from persistence.postgres_assignments import PostgresAssignments
from persistence.postgres_formats import PostgresFormats
from persistence.postgres_log import PostgresLog
from persistence.postgres_snapshots import PostgresSnapshots


class SharedStores:
    """All but the log, which are in Postgres whatever the log is in."""

    def __init__(self, dsn: str) -> None:
        """Connect to `dsn` as needed. Must be called on the event loop that uses them."""
        self._database = Database(dsn)
        self.snapshots = PostgresSnapshots(Database(dsn), Database(dsn))
        self.assignments = PostgresAssignments(self._database)
        self.formats = PostgresFormats(self._database)
        self.names = Names(self._database)

    async def close(self) -> None:
        """Hang up."""
        await self.snapshots.close()
        await self._database.close()


class PostgresStores(SharedStores):
    """The stores, on connections of their own: appends, snapshots in, snapshots out, the rest."""

    def __init__(self, dsn: str) -> None:
        """See `SharedStores`."""
        super().__init__(dsn)
        self.log = PostgresLog(dsn, self._database)

    async def trim(self, before: int) -> int:
        """Drop what the log needn't keep; see `PostgresLog.trim`."""
        return await self.log.trim(before)

    async def close(self) -> None:
        """Hang up."""
        await self.log.close()
        await super().close()
