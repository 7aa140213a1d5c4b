"""The agreed versions in Postgres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from persistence.database import Database
from persistence.formats import Outdated
from persistence.gathering import Gathering


class PostgresFormats:
    """`persistence.formats.FormatStore` on Postgres."""

    def __init__(self, database: Database) -> None:
        """Keep the versions in `database`."""
        self._database = database
        self._reads = Gathering(self._read)

    async def read(self) -> Mapping[str, int]:
        """See `FormatStore.read`."""
        return await self._reads.ask(())

    async def _read(self, _: Sequence[None]) -> Mapping[str, int]:
        rows = await self._database.query("SELECT kind, version FROM formats")
        return {row[0]: row[1] for row in rows}

    async def rise(self, term: int, formats: Mapping[str, int]) -> None:
        """See `FormatStore.rise`."""
        # The lock makes a later term wait for this, or this find the later term: never neither.
        rows = await self._database.query(
            "WITH mine AS (SELECT FROM placement WHERE term = %s FOR UPDATE)"
            " INSERT INTO formats SELECT each.* FROM mine, unnest(%s::text[], %s::int4[]) AS each"
            " ON CONFLICT (kind) DO UPDATE"
            " SET version = greatest(formats.version, excluded.version) RETURNING kind",
            term,
            list(formats),
            list(formats.values()),
        )
        if len(rows) < len(formats):
            raise Outdated(f"term {term} is over")
