"""`gameshard run` apart from what it runs: how it's told to end, and what it looks after."""

import os
import signal
from pathlib import Path

import pytest

from gateway.asked import Asked, Stopped
from gateway.run import RunError, RunOptions, System, _stored_partitions
from persistence.local.postgres import PortTaken


class Postgres:
    """A server that ends when a test says so, and whose starts fail as a test says."""

    pid = 7
    port = 4321

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.ports = []
        self.running = False

    def start(self, port=None) -> None:
        self.ports.append(port)
        if self.failures:
            raise self.failures.pop(0)
        self.running = True


class Cluster:
    """A coordinator that doesn't hear what it's told the first `deaf` times."""

    def __init__(self, deaf: int = 0) -> None:
        self.deaf = deaf
        self.told = []

    def note(self, processes) -> bool:
        self.deaf -= 1
        if self.deaf >= 0:
            return False
        self.told.append(processes)
        return True


def system_of(postgres, cluster, say=lambda _: None) -> System:
    with Asked() as asked:
        system = System(RunOptions(data=Path("unused")), say, asked)
    system._postgres, system._cluster = postgres, cluster
    return system


def test_a_postgres_that_ended_is_started_where_it_was_whatever_fails_meanwhile():
    """The run goes on; each trouble is said once, and the coordinator hears of the new process."""
    full = OSError(28, "No space left on device")
    postgres, cluster = Postgres(full, full, PortTaken("taken")), Cluster(deaf=2)
    said = []
    system = system_of(postgres, cluster, said.append)
    for _ in range(10):
        system.tend()
    assert postgres.running
    assert postgres.ports == [4321] * 4
    assert [line.split(":")[0] for line in said] == [
        "Postgres again, which had ended",
        "Postgres later",
        "Postgres later",
    ]
    [processes] = cluster.told
    assert {"role": "postgres", "pid": 7} in processes


def test_a_postgres_that_runs_is_left_alone():
    """Tending a healthy system does nothing."""
    postgres, cluster = Postgres(), Cluster()
    postgres.running = True
    system_of(postgres, cluster).tend()
    assert (postgres.ports, cluster.told) == ([], [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_next_pause_and_all_later_ones(number):
    """It's never lost, interrupts nothing else, and the signals are given back at the end."""
    before = signal.getsignal(number)
    with Asked() as asked:
        asked.pause(0.0)
        assert not asked.wait(0.0)
        os.kill(os.getpid(), number)
        for _ in range(2):
            with pytest.raises(Stopped):
                asked.pause(60.0)
        assert asked.wait(60.0)
    assert signal.getsignal(number) is before


def test_a_start_that_is_no_longer_wanted_begins_no_further_step(tmp_path):
    """Asked to end before Postgres: nothing starts."""
    said = []
    with Asked() as asked:
        system = System(RunOptions(data=tmp_path, port=0), said.append, asked)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Stopped):
            system.start()
        system.stop()
    assert said == []
    assert system._postgres is None


def test_an_outside_postgres_that_cannot_be_reached_is_told_in_words():
    """Whatever is wrong with the address, it's no traceback."""
    for dsn in ("host=127.0.0.1 port=1", "not a dsn", "host=/nowhere"):
        with pytest.raises(RunError, match="Postgres can't be reached"):
            _stored_partitions(dsn)
