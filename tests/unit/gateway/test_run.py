"""`gameshard run` apart from what it runs: how it's told to end, and what it looks after."""

import os
import signal
import socket
from pathlib import Path

import pytest

from gateway.asked import Asked, Stopped
from gateway.check import check
from gateway.installed import DataDirectory
from gateway.run import RunError, RunOptions, System, _stored_partitions
from persistence.kafka.stores import KafkaSettings
from persistence.local.postgres import PortTaken
from runtime.settings import RaySettings


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
        self.alive = True
        self.told = []

    def lives(self) -> bool:
        return self.alive

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
    processes = cluster.told[0]
    assert {"role": "postgres", "pid": 7} in processes


def test_a_postgres_that_runs_is_left_alone():
    """Tending a healthy system does nothing."""
    postgres, cluster = Postgres(), Cluster()
    postgres.running = True
    system_of(postgres, cluster).tend()
    assert (postgres.ports, cluster.told) == ([], [])


def test_a_coordinator_that_began_anew_hears_of_the_processes_again():
    """It's told every now and then: nobody tells us that it has forgotten them."""
    postgres, cluster = Postgres(), Cluster()
    postgres.running = True
    system = system_of(postgres, cluster)
    for _ in range(20):
        system.tend()
    first, again = cluster.told
    assert first == again
    assert {"role": "postgres", "pid": 7} in again


def test_a_ray_that_has_ended_here_ends_the_run():
    """Nothing can be done without it: who looks after the run starts both again."""
    postgres, cluster = Postgres(), Cluster()
    postgres.running = True
    system = system_of(postgres, cluster)

    def tend() -> None:
        for _ in range(20):
            system.tend()

    tend()
    cluster.alive = False
    with pytest.raises(RunError, match="Ray has ended on this machine"):
        tend()


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


def test_a_kafka_that_cannot_be_started_is_told_in_words(tmp_path, monkeypatch):
    """Without Java: what is missing, and how to get it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with Asked() as asked:
        system = System(RunOptions(data=tmp_path, kafka=KafkaSettings()), lambda _: None, asked)
        with pytest.raises(RunError, match=r"Kafka can't start: There is no Java here.*apt-get"):
            system._start_events()


@pytest.mark.parametrize("before", [False, True])
def test_the_doctor_says_that_kafka_cannot_be_started(tmp_path, monkeypatch, before):
    """It's bad where there is a broker's data; else it's only said."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    if before:
        (tmp_path / "kafka").mkdir()
    [found] = [each for each in check(DataDirectory(tmp_path)) if "Kafka" in each.what]
    assert found.well is not before
    assert "There is no Java here" in found.what


def test_a_port_that_is_taken_is_told_in_words(tmp_path):
    """Before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as other, Asked() as asked:
        port = other.getsockname()[1]
        system = System(RunOptions(data=tmp_path, port=port), lambda _: None, asked)
        with pytest.raises(RunError, match=f"Can't listen on 127.0.0.1:{port}: .*Use --port"):
            system.start()
        system.stop()


def test_gateways_in_a_ray_that_is_not_ours_need_a_port(tmp_path):
    """One that is free here says nothing about another machine; a given one isn't tried here."""
    ray = RaySettings(address="head:6379")
    with socket.create_server(("127.0.0.1", 0)) as other, Asked() as asked:
        options = RunOptions(data=tmp_path, port=other.getsockname()[1], ray=ray)
        assert System(options, lambda _: None, asked)._bind() == other.getsockname()
        system = System(RunOptions(data=tmp_path, port=0, ray=ray), lambda _: None, asked)
        with pytest.raises(RunError, match="need a port of their own"):
            system._bind()
