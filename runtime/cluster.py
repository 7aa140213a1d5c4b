"""Starting and stopping a whole cluster's services in Ray, from the process that runs it."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayError

from runtime.config import COORDINATOR, ClusterConfig
from runtime.host import launch

_log = logging.getLogger(__name__)
_STOP_S = 15.0


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
        # games; here they're the purpose of the machine.
        os.environ.setdefault("RAY_worker_niceness", "0")
        context: Any = ray.init(
            address="local",
            namespace=self._config.namespace,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=False,
            object_store_memory=80 * 1024 * 1024,
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
        progress(f"{config.shards} shard{'s' if config.shards != 1 else ''}")
        for name in config.shard_names():
            self._launch("runtime.services:ShardService", name, config)
        self._started(config.shard_names())
        progress(f"{config.gateways} gateway{'s' if config.gateways != 1 else ''}")
        for name in config.gateway_names():
            self._launch(self._gateway[0], name, self._gateway[1])
        self._started(config.gateway_names())

    def _launch(self, factory: str, name: str, config: Any) -> None:
        self._handles[name] = launch(factory, name, self._config.namespace, config)

    def _started(self, names: list[str]) -> None:
        ray.get([self._handles[name].__ray_ready__.remote() for name in names])

    def call(self, name: str, method: str, *args: Any, timeout: float = 10.0) -> Any:
        """Call a service's method and return its answer."""
        return ray.get(self._handles[name].call.remote(method, *args), timeout=timeout)

    def stop(self, progress: Callable[[str], None]) -> None:
        """Stop everything in order: first who takes commands, then who keeps games."""
        config = self._config
        for names in (config.gateway_names(), config.shard_names(), [COORDINATOR]):
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
