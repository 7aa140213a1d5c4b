"""Starting and stopping a whole cluster's services in Ray, from the process that runs it."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util import list_named_actors

from runtime.config import COORDINATOR, GATEWAY, ClusterConfig
from runtime.host import Needs, launch
from runtime.starting import START_S, StartError

_log = logging.getLogger(__name__)
_STOP_S = 15.0
_STARTED_S = START_S + 30.0
"""A service whose process doesn't even come up in this time isn't waited for any longer."""
_SETTLED_S = 120.0
_PAUSE_S = 0.05
_NOTE_S = 2.0
_PATIENT = 5


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
        self._serving: set[str] = set()

    def start_ray(self) -> str:
        """Start a Ray of our own on this machine, or join the one that is set; return its address.

        Raises:
            StartError: If it doesn't start, or isn't there.
        """
        try:
            context = self._join() if self._config.ray.address else self._begin()
        except (RayError, RuntimeError, OSError, ValueError) as error:
            raise StartError(f"Ray doesn't start: {error}") from error
        return context.address_info["gcs_address"]

    def _join(self) -> Any:
        return ray.init(
            address=self._config.ray.address,
            namespace=self._config.namespace,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=False,
        )

    def _begin(self) -> Any:
        # Ray would run our services at nice 15, so that any other process on the machine delays
        # games; here they're the purpose of the machine. Who may be more hurried later (see
        # `runtime.host`) lets them start patiently.
        hurried = os.geteuid() == 0
        os.environ.setdefault("RAY_worker_niceness", "10" if hurried else "0")
        context = ray.init(
            address="local",
            namespace=self._config.namespace,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=False,
            object_store_memory=80 * 1024 * 1024,
            _system_config=self._config.health.system_config(),
        )
        if hurried:
            _start_workers_patiently()
        return context

    def start(
        self, progress: Callable[[str], None], pause: Callable[[float], None] = sleep
    ) -> None:
        """Start coordinator, shards and gateways; return when all of them serve.

        Args:
            progress: Hears of each step in a few words.
            pause: Sleeps between two looks. What either raises breaks the start off.

        Raises:
            StartError: If something doesn't start; the message says what.
        """
        try:
            self._start(progress, pause)
        except RayError as error:
            raise StartError(_reason(error)) from error

    def _start(self, progress: Callable[[str], None], pause: Callable[[float], None]) -> None:
        config = self._config
        if config.ray.address:
            self._clear(progress, pause)
        progress("coordinator")
        self._launch("runtime.services:CoordinatorService", COORDINATOR, config)
        self._started([COORDINATOR], pause)
        if config.shards is not None:
            self.call(COORDINATOR, "resize", config.shards)
        progress(f"{config.gateways} gateway{'s' if config.gateways != 1 else ''}")
        for name in config.gateway_names():
            needs = Needs(resource=config.ray.gateways_on)
            self._launch(self._gateway[0], name, self._gateway[1], needs)
        self._started(config.gateway_names(), pause)
        progress("shards")
        self._wait_until([COORDINATOR], "settled", pause)
        progress("partitions")
        self._wait_until(config.gateway_names(), "ready", pause)

    def _wait_until(self, names: list[str], method: str, pause: Callable[[float], None]) -> None:
        """Wait until each of these services says that every partition has an owner."""
        until = monotonic() + _SETTLED_S
        for name in names:
            while not self.call(name, method):
                if monotonic() > until:
                    raise StartError("Not every partition has an owner. See: gameshard doctor")
                pause(_PAUSE_S)

    def _clear(self, progress: Callable[[str], None], pause: Callable[[float], None]) -> None:
        """Stop what an earlier run has left in a Ray that outlived it: it's told other settings."""
        left = self._present()
        for name in left:
            self._handles[name] = ray.get_actor(name, self._config.namespace)
        if COORDINATOR in left and not self.call(COORDINATOR, "keeps", self._config.secret):
            self._handles.clear()
            raise StartError("Another gameshard, of other data, runs in this Ray. Use another one.")
        self._serving.update(left)
        self._stop_all([name for name in left if name.startswith(GATEWAY)], progress)
        self._stop_all(self._shards(), progress)
        self._stop_all(list(self._handles), progress)
        until = monotonic() + _STARTED_S
        while present := self._present():
            if monotonic() > until:
                raise StartError(f"What an earlier run left doesn't end: {', '.join(present)}")
            pause(_PAUSE_S)

    def _present(self) -> list[str]:
        """Return the names of our services that Ray knows."""
        actors: Any = list_named_actors(all_namespaces=True)
        return [each["name"] for each in actors if each["namespace"] == self._config.namespace]

    def _launch(self, factory: str, name: str, config: Any, needs: Needs | None = None) -> None:
        self._handles[name] = launch(factory, name, self._config.namespace, config, needs)

    def _started(self, names: list[str], pause: Callable[[float], None]) -> None:
        starting = {self._handles[name].__ray_ready__.remote(): name for name in names}
        until = monotonic() + _STARTED_S
        while starting:
            done, _ = ray.wait(list(starting), timeout=0)
            for reference in done:
                name = starting.pop(reference)
                ray.get(reference)
                self._serving.add(name)
            if not done:
                if monotonic() > until:
                    late = ", ".join(starting.values())
                    raise StartError(
                        f"After {_STARTED_S:.0f} s this hasn't started: {late}{self._wanting()}"
                    )
                pause(_PAUSE_S)

    def _wanting(self) -> str:
        """Return in words which resource no machine has, if that's why."""
        there: Any = ray.cluster_resources()
        wanted = {self._config.ray.gateways_on, self._config.ray.shards_on} - {"", *there}
        return f"; no machine in Ray has {' or '.join(sorted(wanted))}" if wanted else ""

    def call(self, name: str, method: str, *args: Any, timeout: float = 10.0) -> Any:
        """Call a service's method and return its answer."""
        return ray.get(self._handles[name].call.remote(method, *args), timeout=timeout)

    def lives(self) -> bool:
        """Return whether the Ray that we joined has our node; without it nothing can be done."""
        if not self._config.ray.address:
            return True
        own = ray.get_runtime_context().get_node_id()
        nodes: Any = ray.nodes()
        return any(node["NodeID"] == own and node["Alive"] for node in nodes)

    def note(self, processes: list[dict[str, object]]) -> bool:
        """Tell the coordinator of processes that it can't know; return whether it has heard."""
        try:
            self.call(COORDINATOR, "note_processes", processes, timeout=_NOTE_S)
        except (RayError, TimeoutError) as error:
            _log.info("the coordinator doesn't hear of other processes: %s", error)
            return False
        return True

    def stop(self, progress: Callable[[str], None]) -> None:
        """Stop everything in order: first who takes commands, then who keeps games."""
        self._stop_all(self._config.gateway_names(), progress)
        self._stop_all(self._shards(), progress)
        self._stop_all([COORDINATOR], progress)

    def _shards(self) -> list[str]:
        """Make the coordinator assign nothing more; return the shards, also those of operators."""
        if COORDINATOR not in self._serving:
            return []
        try:
            names: list[str] = self.call(COORDINATOR, "rest")
            # Those that are only starting aren't known to it, and would live on.
            others = {COORDINATOR, *self._config.gateway_names()}
            present = set(self._present()) - others | set(names)
        except (RayError, TimeoutError, KeyError) as error:
            _log.warning("the coordinator doesn't say which shards run: %s", error)
            return []
        self._serving.update(names)
        for name in present:
            with contextlib.suppress(ValueError):  # it ended in this moment
                self._handles[name] = ray.get_actor(name, self._config.namespace)
        return list(present)

    def _stop_all(self, names: list[str], progress: Callable[[str], None]) -> None:
        handles = [(name, self._handles[name]) for name in names if name in self._handles]
        if handles:
            progress(f"stopping {', '.join(name for name, _ in handles)}")
        self._stop(handles)

    def _stop(self, handles: list[tuple[str, Any]]) -> None:
        # Who hasn't started yet would answer only then.
        asked = {
            name: handle.call.remote("stop") for name, handle in handles if name in self._serving
        }
        for name, handle in handles:
            try:
                if name in asked:
                    ray.get(asked[name], timeout=_STOP_S)
            except (RayError, TimeoutError) as error:
                _log.warning("%s didn't stop in order: %s", name, error)
            with contextlib.suppress(RayError):
                ray.kill(handle, no_restart=True)
            del self._handles[name]

    def stop_ray(self) -> None:
        """Stop our Ray, or leave the one that we joined."""
        ray.shutdown()


def _start_workers_patiently() -> None:
    """Let the processes that Ray starts be patient from their first moment on.

    Ray makes a worker patient when it has loaded itself, which takes half a second of CPU. A worker
    begins with the priority of the raylet, which does hardly anything but start workers.
    """
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            pid, _, rest = stat.read_text().partition(" (")
            name, _, rest = rest.rpartition(") ")
            if name == "raylet" and int(rest.split()[1]) == os.getpid():
                os.setpriority(os.PRIO_PROCESS, int(pid), _PATIENT)


def _reason(error: RayError) -> str:
    """Return what is left of an error of Ray without its tracebacks."""
    words = str(error).strip()
    _, ours, reason = words.rpartition(f"{StartError.__name__}: ")
    return reason if ours else words.splitlines()[-1]
