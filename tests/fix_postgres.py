"""One real Postgres for the whole run of the tests; a database of its own for each that asks."""

import os
import signal
import tempfile
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from persistence.installation import Installation, install
from persistence.local.postgres import LocalPostgres


@pytest.fixture(scope="session")
def postgres():
    """A real Postgres."""
    with tempfile.TemporaryDirectory(prefix="gameshard-pg-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = LocalPostgres(Path(folder))
        server.start()
        yield server
        os.kill(server.pid, signal.SIGQUIT)  # no checkpoint of what is deleted anyway
        server.stop()


@pytest.fixture
def empty_dsn(postgres):
    """A new, empty database."""
    name = f"t{uuid4().hex[:12]}"
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return postgres.dsn.replace("dbname=postgres", f"dbname={name}")


@pytest.fixture
def dsn(empty_dsn):
    """A new database with our schema and four partitions."""
    install(empty_dsn, Installation("test", 4))
    return empty_dsn
