"""What a database was made for: its schema, and the facts that can't change on existing data."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import psycopg
from msgspec import Struct
from psycopg.rows import tuple_row

DATA_FORMAT = 1
_LOCK = 0x67616D65  # any number of our own: "game"


class Mismatch(Exception):  # noqa: N818  (said to an operator: "there's a mismatch")
    """The data was made for another installation than the one that starts on it."""


class Installation(Struct, frozen=True):
    """What must be the same at every start on the same data.

    Attributes:
        namespace: Name of the cluster.
        partitions: How many partitions the log has: it decides where every game lives.
        log: "postgres", or the kind of log that holds the events.
    """

    namespace: str
    partitions: int
    log: str = "postgres"


def install(dsn: str, wanted: Installation) -> None:
    """Bring the schema up to date and check that the data is of this installation.

    Several processes may do it at once; one works, the others wait.

    Raises:
        Mismatch: If the data was made with other settings.
        psycopg.OperationalError: If the database can't be reached.
    """
    with psycopg.connect(dsn, row_factory=tuple_row, connect_timeout=10) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        _migrate(connection)
        row = connection.execute(
            "SELECT data_format, namespace, partitions, log FROM installation"
        ).fetchone()
        if row is None:
            connection.execute(
                "INSERT INTO installation (data_format, namespace, partitions, log)"
                " VALUES (%s, %s, %s, %s)",
                (DATA_FORMAT, wanted.namespace, wanted.partitions, wanted.log),
            )
            connection.execute(
                "INSERT INTO partitions (id) SELECT generate_series(0, %s - 1)",
                (wanted.partitions,),
            )
        else:
            _compare(row, wanted)


def _migrate(connection: psycopg.Connection[Any]) -> None:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations"
        " (name text PRIMARY KEY, at timestamptz DEFAULT now())"
    )
    connection.execute(
        "CREATE TABLE IF NOT EXISTS installation"
        " (data_format int4, namespace text, partitions int4, log text)"
    )
    done = {name for (name,) in connection.execute("SELECT name FROM migrations")}
    folder = files("persistence") / "migrations"
    scripts = {script.name: script for script in folder.iterdir() if script.name.endswith(".sql")}
    if unknown := done - scripts.keys():
        raise Mismatch(
            f"The data was used by a newer gameshard ({', '.join(sorted(unknown))} is not known"
            " here). Start that version, or another data directory."
        )
    for name in sorted(scripts.keys() - done):
        connection.execute(scripts[name].read_bytes())
        connection.execute("INSERT INTO migrations (name) VALUES (%s)", (name,))


def _compare(row: tuple[Any, ...], wanted: Installation) -> None:
    asked = (DATA_FORMAT, wanted.namespace, wanted.partitions, wanted.log)
    names = ("data format", "namespace", "partitions", "log")
    wrong = [
        f"{name}: the data has {found!r}, asked is {want!r}"
        for name, found, want in zip(names, row, asked, strict=True)
        if found != want
    ]
    if wrong:
        raise Mismatch(
            "This data can't be used with these settings ("
            + "; ".join(wrong)
            + "). Start with the data's own settings, or on another data directory."
        )
