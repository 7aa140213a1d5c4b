"""Real Kafkas for the whole run of the tests: one node, shared by all that ask; three for kills."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from persistence.local.kafka import LocalKafka
from persistence.local.server import NotInstalled


@contextmanager
def running_kafka(nodes):
    with tempfile.TemporaryDirectory(
        prefix="gameshard-kafka-", ignore_cleanup_errors=True
    ) as folder:
        cluster = LocalKafka(Path(folder), nodes)
        try:
            cluster.start()
        except NotInstalled as problem:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(str(problem))
        yield cluster
        cluster.kill()


@pytest.fixture(scope="session")
def kafka():
    """A real Kafka of one node; topics are told apart by their names."""
    with running_kafka(1) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def _three_kafkas():
    with running_kafka(3) as cluster:
        yield cluster


@pytest.fixture
def three_kafkas(_three_kafkas):
    """A real Kafka of three nodes, all of which run; whoever kills one may leave it."""
    _three_kafkas.start()
    return _three_kafkas
