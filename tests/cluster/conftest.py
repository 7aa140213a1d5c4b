"""Running clusters for the tests of this folder."""

import pytest
import ray
from cluster_services import Services
from ray.cluster_utils import Cluster as Raylets

from runtime.settings import NodeHealth


@pytest.fixture
def services(empty_dsn):
    """Makes a running cluster on a Ray of its own."""
    made: list[Services] = []

    def make(shards: int, *, kill_hung: bool = True) -> Services:
        services = Services(empty_dsn, shards, kill_hung=kill_hung)
        made.append(services)
        services.cluster.start_ray()
        services.start()
        return services

    yield make
    for services in made:
        services.stop()
        services.cluster.stop_ray()


@pytest.fixture
def raylets():
    """A Ray of several raylets on this machine, whose head looks after them as ours does."""
    system = NodeHealth().system_config()
    raylets = Raylets(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "_system_config": system},
    )
    try:
        yield raylets
    finally:
        ray.shutdown()
        raylets.shutdown()
