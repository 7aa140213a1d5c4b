"""Starting and stopping a whole cluster's services in Ray, from the process that runs it."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

import ray
from ray.exceptions import RayError

from runtime.config import COORDINATOR, ClusterConfig
from runtime.host import launch

_log = logging.getLogger(__name__)
_STOP_S = 15.0
_SETTLED_S = 120.0
_PAUSE_S = 0.05


class Cluster:
    """The services of one cluster. Used by one thread."""

    def __init__(self, config: ClusterConfig, gateway: tuple[str, Any]) -> None:
        """Prepare the services.

        Args:
            config: What all of them are told.
            gateway: Factory of a gateway ("module:callable") and its config.
        """
        self._config = config
        self._gateway = gateway
        self._handles: dict[str, Any] = {}

    def gateway_names(self) -> list[str]:
        """Return the names of the gateways."""
        return self._config.gateway_names()

    def start_ray(self) -> str:
        """Start a Ray of our own on this machine, whatever others run here; return its address."""
        # Ray would run our services at nice 15, so that any other process on the machine delays
        # games; here they're the purpose of the machine. Who may be more hurried later (see
        # `runtime.host`) lets them start patiently.
        os.environ.setdefault("RAY_worker_niceness", "10" if os.geteuid() == 0 else "0")
        context: Any = ray.init(
            address="local",
            namespace=self._config.namespace,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=False,
            object_store_memory=80 * 1024 * 1024,
            _system_config=self._config.health.system_config(),
        )
        return context.address_info["gcs_address"]

    def start(self, progress: Callable[[str], None]) -> None:
        """Start coordinator, shards and gateways; return when all of them serve.

        Raises:
            ray.exceptions.RayError: If a service doesn't start.
        """
        config = self._config
        progress("coordinator")
        self._launch("runtime.services:CoordinatorService", COORDINATOR, config)
        self._started([COORDINATOR])
        if config.shards is not None:
            self.call(COORDINATOR, "resize", config.shards)
        progress(f"{config.gateways} gateway{'s' if config.gateways != 1 else ''}")
        for name in config.gateway_names():
            self._launch(self._gateway[0], name, self._gateway[1])
        self._started(config.gateway_names())
        progress("shards")
        self._wait_until_settled()

    def _wait_until_settled(self) -> None:
        until = monotonic() + _SETTLED_S
        while not self.call(COORDINATOR, "settled"):
            if monotonic() > until:
                raise TimeoutError("not every partition has an owner")
            sleep(_PAUSE_S)

    def _launch(self, factory: str, name: str, config: Any) -> None:
        self._handles[name] = launch(factory, name, self._config.namespace, config)

    def _started(self, names: list[str]) -> None:
        ray.get([self._handles[name].__ray_ready__.remote() for name in names])

    def call(self, name: str, method: str, *args: Any, timeout: float = 10.0) -> Any:
        """Call a service's method and return its answer."""
        return ray.get(self._handles[name].call.remote(method, *args), timeout=timeout)

    def stop(self, progress: Callable[[str], None]) -> None:
        """Stop everything in order: first who takes commands, then who keeps games."""
        self._stop_all(self._config.gateway_names(), progress)
        self._stop_all(self._shards(), progress)
        self._stop_all([COORDINATOR], progress)

    def _shards(self) -> list[str]:
        """Make the coordinator assign nothing more; return the shards, also those of operators."""
        try:
            names: list[str] = self.call(COORDINATOR, "rest")
            handles = {name: ray.get_actor(name, self._config.namespace) for name in names}
        except (RayError, TimeoutError, KeyError, ValueError) as error:
            _log.warning("the coordinator doesn't say which shards run: %s", error)
            return []
        self._handles |= handles
        return names

    def _stop_all(self, names: list[str], progress: Callable[[str], None]) -> None:
        handles = [(name, self._handles[name]) for name in names if name in self._handles]
        if handles:
            progress(f"stopping {', '.join(name for name, _ in handles)}")
        self._stop(handles)

    def _stop(self, handles: list[tuple[str, Any]]) -> None:
        asked = [handle.call.remote("stop") for _, handle in handles]
        for (name, handle), stopped in zip(handles, asked, strict=True):
            try:
                ray.get(stopped, timeout=_STOP_S)
            except (RayError, TimeoutError) as error:
                _log.warning("%s didn't stop in order: %s", name, error)
            with contextlib.suppress(RayError):
                ray.kill(handle, no_restart=True)
            del self._handles[name]

    def stop_ray(self) -> None:
        """Stop our Ray."""
        ray.shutdown()
