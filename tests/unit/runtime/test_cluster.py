"""How a cluster's start fails, and what is stopped then; Ray's part is played here."""

from types import SimpleNamespace

import pytest
from ray.exceptions import RayActorError, RayError

from runtime import cluster as clusters
from runtime.cluster import Cluster
from runtime.config import COORDINATOR, ClusterConfig
from runtime.starting import StartError

DIED = """The actor died because of an error raised in its creation task
  File "host.py", line 1, in __init__
runtime.starting.StartError: gateway-1 doesn't start: no Postgres"""


class Ray:
    """Services that start at once, never, or with an error; and what was asked of them."""

    def __init__(self, **starts) -> None:
        self.starts = starts
        self.called: list[tuple[str, str]] = []
        self.killed: list[str] = []

    def launch(self, factory, name, namespace, config):
        del factory, namespace, config

        def ask(method, *_):
            self.called.append((name, method))
            return {"settled": True, "ready": True, "rest": []}.get(method)

        return SimpleNamespace(
            name=name,
            call=SimpleNamespace(remote=ask),
            __ray_ready__=SimpleNamespace(remote=lambda: self.starts.get(name, "started")),
        )

    def wait(self, references, timeout):
        del timeout
        done = [each for each in references if each != "never"]
        return done[:1], [each for each in references if each not in done[:1]]

    def get(self, answer, timeout=None):
        del timeout
        if isinstance(answer, Exception):
            raise answer
        return answer

    def kill(self, handle, no_restart):
        assert no_restart
        self.killed.append(handle.name)


@pytest.fixture
def begin(monkeypatch):
    """Makes a cluster of two gateways on a Ray whose services start as told."""

    def make(**starts):
        ray = Ray(**starts)
        monkeypatch.setattr(clusters, "ray", ray)
        monkeypatch.setattr(clusters, "launch", ray.launch)
        config = ClusterConfig(dsn="", secret=b"", gateways=2)
        return Cluster(config, ("", None)), ray

    return make


def test_a_service_that_does_not_come_up_is_named_in_the_end(begin, monkeypatch):
    """A start never hangs: what is still missing after its time is told."""
    clock = [0.0]
    monkeypatch.setattr(clusters, "monotonic", lambda: clock[0])
    cluster, _ = begin(**{"gateway-1": "never"})

    def pause(seconds: float) -> None:
        clock[0] += 100 * seconds

    with pytest.raises(StartError, match="After 150 s this hasn't started: gateway-1"):
        cluster.start(lambda _: None, pause)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RayActorError(error_msg=DIED), "gateway-1 doesn't start: no Postgres"),
        (RayError("the head is gone"), "the head is gone"),
    ],
)
def test_a_service_that_fails_is_told_without_a_traceback(begin, error, words):
    """Whoever starts the cluster hears the reason, and nothing of how Ray tells it."""
    cluster, _ = begin(**{"gateway-1": error})
    with pytest.raises(StartError) as caught:
        cluster.start(lambda _: None, lambda _: None)
    assert str(caught.value) == words


def test_a_start_that_is_broken_off_stops_who_serves_and_ends_who_does_not(begin):
    """Nobody is waited for who hasn't started; all of them are gone."""
    cluster, ray = begin(**{"gateway-1": "never"})

    def pause(_: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        cluster.start(lambda _: None, pause)
    ray.called.clear()
    cluster.stop(lambda _: None)
    assert ray.called == [("gateway-0", "stop"), (COORDINATOR, "rest"), (COORDINATOR, "stop")]
    assert sorted(ray.killed) == [COORDINATOR, "gateway-0", "gateway-1"]


def test_a_coordinator_that_does_not_answer_is_no_failure_of_who_tells_it(begin):
    """Whoever notes processes hears that it wasn't heard, and may say it again."""
    cluster, ray = begin()
    cluster.start(lambda _: None, lambda _: None)
    assert cluster.note([{"role": "run"}])
    ray.get = lambda *_, **__: (_ for _ in ()).throw(TimeoutError())
    assert not cluster.note([{"role": "run"}])
