"""How a cluster's start fails, and what is stopped then; Ray's part is played here."""

from types import SimpleNamespace

import pytest
from ray.exceptions import RayActorError, RayError

from runtime import cluster as clusters
from runtime.cluster import Cluster
from runtime.config import COORDINATOR, ClusterConfig
from runtime.settings import RaySettings
from runtime.starting import StartError

DIED = """The actor died because of an error raised in its creation task
  File "host.py", line 1, in __init__
runtime.starting.StartError: gateway-1 doesn't start: no Postgres"""


ALONE = RaySettings()
JOINED = RaySettings(address="head:6379", gateways_on="door")


class Ray:
    """Services that start at once, never, or with an error; and what was asked of them."""

    def __init__(self, **starts) -> None:
        self.starts = starts
        self.called: list[tuple[str, str]] = []
        self.killed: list[str] = []
        self.left: list[str] = []
        self.alive = True
        self.foreign: list[str] = []
        self.resources: dict[str, str] = {}
        self.answers = {"settled": True, "ready": True, "rest": [], "keeps": True}

    def launch(self, factory, name, namespace, config, needs):
        del factory, config
        self.resources[name] = needs.resource if needs else ""
        return self.get_actor(name, namespace)

    def list_named_actors(self, all_namespaces):
        assert all_namespaces
        ours = [{"name": name, "namespace": "gameshard"} for name in self.left]
        return [*ours, *({"name": name, "namespace": "other"} for name in self.foreign)]

    def get_runtime_context(self):
        return SimpleNamespace(get_node_id=lambda: "here")

    def nodes(self):
        return [{"NodeID": "other", "Alive": True}, {"NodeID": "here", "Alive": self.alive}]

    def cluster_resources(self):
        return {"CPU": 2.0}

    def get_actor(self, name, namespace):
        assert namespace == "gameshard"

        def ask(method, *_):
            self.called.append((name, method))
            return self.answers.get(method)

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
        if handle.name in self.left:
            self.left.remove(handle.name)


@pytest.fixture
def begin(monkeypatch):
    """Makes a cluster of two gateways on a Ray whose services start as told."""

    def make(joined=ALONE, **starts):
        ray = Ray(**starts)
        monkeypatch.setattr(clusters, "ray", ray)
        monkeypatch.setattr(clusters, "launch", ray.launch)
        monkeypatch.setattr(clusters, "list_named_actors", ray.list_named_actors)
        config = ClusterConfig(dsn="", secret=b"", gateways=2, ray=joined)
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


def test_what_an_earlier_run_left_in_a_ray_that_outlived_it_is_stopped_in_order(begin):
    """First who takes commands, then who keeps games; others' services there are left alone."""
    cluster, ray = begin(JOINED)
    ray.left = [COORDINATOR, "shard-0", "gateway-0", "gateway-7"]
    ray.foreign = ["gateway-9"]
    ray.answers["rest"] = ["shard-0"]
    cluster.start(lambda _: None, lambda _: None)
    assert [name for name, method in ray.called if method == "stop"] == [
        "gateway-0",
        "gateway-7",
        "shard-0",
        COORDINATOR,
    ]
    assert ray.killed == ["gateway-0", "gateway-7", "shard-0", COORDINATOR]
    assert ray.resources == {COORDINATOR: "", "gateway-0": "door", "gateway-1": "door"}


def test_a_shard_that_is_only_starting_is_ended_with_the_others(begin):
    """The coordinator doesn't know it, and it couldn't answer: it's killed without being asked."""
    cluster, ray = begin()
    cluster.start(lambda _: None, lambda _: None)
    ray.left = [COORDINATOR, "gateway-0", "gateway-1", "shard-0", "shard-1"]
    ray.answers["rest"] = ["shard-0"]
    ray.called.clear()
    cluster.stop(lambda _: None)
    assert ("shard-0", "stop") in ray.called
    assert ("shard-1", "stop") not in ray.called
    assert sorted(ray.killed) == [COORDINATOR, "gateway-0", "gateway-1", "shard-0", "shard-1"]


def test_the_services_of_other_data_in_the_same_ray_are_left_alone(begin):
    """Whoever starts a second system in it is told, and stops nothing of the first."""
    cluster, ray = begin(JOINED)
    ray.left = [COORDINATOR, "shard-0", "gateway-0"]
    ray.answers["keeps"] = False
    with pytest.raises(StartError, match="of other data, runs in this Ray"):
        cluster.start(lambda _: None, lambda _: None)
    cluster.stop(lambda _: None)
    assert ray.killed == []


def test_a_resource_that_no_machine_has_is_named(begin, monkeypatch):
    """A gateway that can't be placed is told with what is missing."""
    clock = [0.0]
    monkeypatch.setattr(clusters, "monotonic", lambda: clock[0])
    cluster, _ = begin(JOINED, **{"gateway-1": "never"})

    def pause(seconds: float) -> None:
        clock[0] += 100 * seconds

    with pytest.raises(StartError, match="started: gateway-1; no machine in Ray has door"):
        cluster.start(lambda _: None, pause)


@pytest.mark.parametrize("joined", [ALONE, JOINED])
def test_a_node_of_another_ray_that_ended_is_noticed(begin, joined):
    """Of a Ray of our own nobody need say so: it ends with us."""
    cluster, ray = begin(joined)
    assert cluster.lives()
    ray.alive = False
    assert cluster.lives() is (joined is ALONE)
