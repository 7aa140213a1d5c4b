"""A game's history as the store has it, read without the game's owner."""

from __future__ import annotations

import psycopg
from msgspec import Struct

from runtime.history import unpack_events


class Replay(Struct, frozen=True):
    """A game's events, and where they were found; `differing` is the first seq that differs."""

    events: list[bytes]
    in_history: int
    in_log: int
    differing: int | None


def replay_game(dsn: str, game: str) -> Replay:
    """Read a game from the stored history and from the log, and compare what both have."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT history FROM games WHERE id = %s", (game,)).fetchone()
        log = connection.execute(
            "SELECT seq, value FROM events WHERE game = %s ORDER BY seq", (game,)
        ).fetchall()
    history = unpack_events(chunks(bytes(row[0]))) if row else []
    differing = next(
        (seq for seq, value in log if seq <= len(history) and history[seq - 1] != value), None
    )
    events = history + [bytes(value) for seq, value in log if seq > len(history)]
    return Replay(events, len(history), len(log), differing)


def chunks(data: bytes) -> list[bytes]:
    """Cut a stored history into its length-prefixed chunks."""
    found: list[bytes] = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found
