"""A partition's games and the end of its log, on disk while they are compared: memory stays small.

The files are SQLite's own, without a name, and gone when they are closed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from persistence.log import Placed

_PAGE = 200
_SCHEMA = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    CREATE TABLE live (partition INTEGER, game TEXT, PRIMARY KEY (partition, game)) WITHOUT ROWID;
    CREATE TABLE seen (game TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE tail (place INTEGER PRIMARY KEY, game TEXT, seq INTEGER, value BLOB);
    CREATE INDEX tail_game ON tail (game);
"""


class Tail:
    """Live games of all partitions, and one partition's records."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._sql = sqlite3.connect("", isolation_level=None)  # a file that's deleted when closed
        self._sql.executescript(_SCHEMA)

    def close(self) -> None:
        """Delete the files."""
        self._sql.close()

    def note_live(self, games: Iterable[tuple[int, str]]) -> None:
        """Remember that these (partition, game) are live."""
        self._many("INSERT OR IGNORE INTO live VALUES (?, ?)", games)

    def begin(self) -> None:
        """Forget the partition before."""
        self._sql.executescript("DELETE FROM tail; DELETE FROM seen;")

    def add(self, records: Iterable[Placed]) -> None:
        """Take more of the partition's log, in its order."""
        rows = ((record.game, record.seq, record.value) for _, record in records)
        self._many("INSERT INTO tail (game, seq, value) VALUES (?, ?, ?)", rows)

    def live(self, partition: int) -> Iterator[list[str]]:
        """Yield the partition's live games, a page at a time."""
        yield from self._pages("SELECT game FROM live WHERE partition = ?1", partition)

    def in_tail(self) -> Iterator[list[str]]:
        """Yield the games in what the tail is now, a page at a time."""
        [(last,)] = self._sql.execute("SELECT coalesce(max(place), 0) FROM tail")
        yield from self._pages("SELECT DISTINCT game FROM tail WHERE place <= ?1", last)

    def _pages(self, select: str, value: int) -> Iterator[list[str]]:
        last = ""
        sql = f"{select} AND game > ?2 ORDER BY game LIMIT {_PAGE}"
        while page := [game for (game,) in self._sql.execute(sql, (value, last))]:
            last = page[-1]
            yield page

    def unseen(self, games: Sequence[str]) -> list[str]:
        """Return those of `games` that weren't asked about before, each once."""
        insert = "INSERT OR IGNORE INTO seen VALUES (?)"
        return [game for game in games if self._sql.execute(insert, (game,)).rowcount]

    def events(self, game: str) -> list[tuple[int, bytes]]:
        """Return a game's (seq, event) in the order of the log."""
        rows = self._sql.execute(
            "SELECT seq, value FROM tail WHERE game = ? ORDER BY place", (game,)
        )
        return rows.fetchall()

    def _many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        self._sql.execute("BEGIN")
        self._sql.executemany(sql, rows)
        self._sql.execute("COMMIT")
