"""Services in Ray whose start fails."""

import os
import signal
from pathlib import Path

import pytest
import ray
from cluster_services import eventually, until_true

from runtime.host import launch


@pytest.fixture
def late(raylets, tmp_path):
    """Launches the service that fails as long as `tmp_path / "in-the-way"` exists."""
    here = {"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}}
    ray.init(address=raylets.address, log_to_driver=False, namespace="late", runtime_env=here)
    return lambda: launch("late_service:LateService", "late", "late", str(tmp_path))


def test_a_restart_that_fails_is_tried_until_it_works(late, tmp_path):
    """A killed service comes back, although what it needs is away for a while just then."""
    service = late()
    pid = ray.get(service.call.remote("pid"))
    (tmp_path / "in-the-way").touch()
    os.kill(pid, signal.SIGKILL)
    until_true(lambda: len((tmp_path / "tries").read_text().splitlines()) >= 3)
    (tmp_path / "in-the-way").unlink()
    assert eventually(lambda: ray.get(service.call.remote("pid"), timeout=5)) != pid


def test_a_first_start_that_fails_says_why(late, tmp_path):
    """Whoever launched it hears which service failed, and how."""
    (tmp_path / "in-the-way").touch()
    with pytest.raises(ray.exceptions.RayActorError, match="late doesn't start: something is in"):
        ray.get(late().__ray_ready__.remote())
