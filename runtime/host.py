"""How our services live in Ray: each in an actor of its own, on a uvloop in a thread of its own.

Ray starts, supervises, finds and ends them; it carries no game traffic. A service that fails ends
its process, so that Ray starts it anew (`max_restarts=-1`); see `runtime.starting`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import logging
import os
import pickle
import signal
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import ray
from msgspec import Struct
from ray.exceptions import RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from runtime.machines import Machine
from runtime.patience import await_calm
from runtime.starting import Service, begin
from runtime.told import Told

_log = logging.getLogger(__name__)
_CALM_S = 2.0
"""Who doesn't answer in this time can't say whether all is calm."""


class Process(Told, Struct, frozen=True, array_like=True):
    """A process of the cluster: on which node (Ray's id), and its number there."""

    node: str
    pid: int


class Needs(Struct, frozen=True):
    """What Ray sets aside for a service when it places it.

    Attributes:
        cpus: So many CPUs.
        resource: One of a resource of this name.
        node: The machine to begin on, if it's there; a service that's lost with it starts anywhere.
        calm: Whom it asks ("service:method", called with its name) before it starts anew, whether
            that's a good moment; empty: nobody. See `runtime.patience`.
    """

    cpus: float = 0.0
    resource: str = ""
    node: str = ""
    calm: str = ""


class Peers:
    """The other services of the cluster, by name."""

    def __init__(self, namespace: str, here: Process) -> None:
        """Look names up in a Ray namespace; `here` is this process."""
        self.namespace = namespace
        self.here = here
        self._handles: dict[str, Any] = {}

    async def call(self, name: str, method: str, *args: Any, timeout: float = 5.0) -> Any:
        """Call `method` of the service called `name` and return its answer.

        Raises:
            TimeoutError: If it doesn't answer in `timeout` seconds.
            ray.exceptions.RayError, ValueError: If it's dead, or there's none of that name.
        """
        async with asyncio.timeout(timeout):
            handle = await self._handle(name)
            try:
                return await asyncio.wrap_future(handle.call.remote(method, *args).future())
            except RayActorError:
                self._handles.pop(name, None)
                raise

    async def _handle(self, name: str) -> Any:
        handle = self._handles.get(name)
        if handle is None:
            loop = asyncio.get_running_loop()
            handle = await loop.run_in_executor(None, ray.get_actor, name, self.namespace)
            self._handles[name] = handle
        return handle

    async def machines(self) -> list[Machine]:
        """Return the machines that live."""
        loop = asyncio.get_running_loop()
        nodes: Any = await loop.run_in_executor(None, ray.nodes)
        return [
            Machine(node["NodeID"], node["Resources"].get("CPU", 0.0), tuple(node["Resources"]))
            for node in nodes
            if node["Alive"]
        ]

    async def launch(self, factory: str, name: str, config: Any, needs: Needs) -> None:
        """Start a service, if there's none of that name; see `launch`."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, launch, factory, name, self.namespace, config, needs)

    async def retire(self, name: str, timeout: float) -> None:
        """Stop a service in order, for good."""
        await self._finish(name, timeout, again=False)

    async def restart(self, name: str, timeout: float) -> None:
        """Stop a service in order; Ray starts it anew."""
        await self._finish(name, timeout, again=True)

    async def _finish(self, name: str, timeout: float, *, again: bool) -> None:
        try:
            await self.call(name, "stop", timeout=timeout)
        except (RayError, TimeoutError) as error:
            _log.warning("%s didn't stop in order: %s", name, error)
        handle = await self._handle(name)
        self._handles.pop(name, None)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, partial(ray.kill, handle, no_restart=not again))

    async def end(self, process: Process) -> None:
        """Kill a process that hangs, wherever it is; Ray starts its service anew."""
        where = NodeAffinitySchedulingStrategy(process.node, soft=False)
        try:
            done = _end.options(scheduling_strategy=where).remote(process.pid)
            await asyncio.wrap_future(done.future())
        except RayError as error:  # its node is gone, and so is the process
            _log.warning("process %d isn't killed: %s", process.pid, error)


# Its process isn't kept: a service that starts anew in it would have our modules of long ago.
@ray.remote(num_cpus=0, max_retries=0, max_calls=1)
def _end(pid: int) -> None:
    if lives(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def own_address() -> str:
    """Return the address by which the cluster's other machines reach this one."""
    return ray.util.get_node_ip_address()


def lives(pid: int) -> bool:
    """Return whether a service's process of this number runs on this machine."""
    try:
        # Not a later one that was given the same number.
        return b"ray::_Host" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


class _Host:
    """The Ray actor: a thread with an event loop, and one service on it."""

    _loop: asyncio.AbstractEventLoop
    _service: Service

    def __init__(
        self, factory: str, name: str, namespace: str, config: Any, calm: str = ""
    ) -> None:
        """Start `factory` ("module:callable"), called with (name, peers, config).

        `config` is pickled: to read it takes modules, which are loaded when it's time. See
        `Needs.calm`. Ray calls us again with what it was given once, in whatever version is
        installed by then: what is new has a default, and what was there before is understood.
        """
        logging.basicConfig(level=os.environ.get("GAMESHARD_LOG", "WARNING"))
        context = ray.get_runtime_context()
        again = bool(context.was_current_actor_reconstructed)
        if again and calm:
            await_calm(partial(_is_calm, calm, name, namespace))
        module, _, attribute = factory.partition(":")
        make: Callable[..., Service] = getattr(importlib.import_module(module), attribute)
        told = pickle.loads(config) if isinstance(config, bytes) else config  # noqa: S301  (ours)
        here = Process(context.get_node_id(), os.getpid())
        started: Future[None] = Future()

        def run() -> None:
            try:
                self._loop, self._service = begin(
                    name, lambda: make(name, Peers(namespace, here), told), again=again
                )
            except BaseException as error:  # noqa: BLE001  (told to whoever waits for the start)
                started.set_exception(error)
                return
            started.set_result(None)
            with contextlib.suppress(KeyboardInterrupt):
                self._loop.run_forever()

        _hurry()
        threading.Thread(target=run, name=name, daemon=True).start()
        started.result()
        _collect_in_morsels()

    async def call(self, method: str, *args: Any) -> Any:
        """Run a method of the service on its own loop."""

        async def run() -> Any:
            answer = getattr(self._service, method)(*args)
            return await answer if isinstance(answer, Awaitable) else answer

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(run(), self._loop))


def _collect_in_morsels() -> None:
    """Look for cycles among what is new, a little at a time, and hardly ever among the rest.

    What is loaded now stays; and a hundred thousand live games aren't searched again and again: a
    full collection would stop every one of them. One of the newest 50,000 objects stops them for
    25-40 ms, one of 2,000 for 1.5, and both look at each object once.
    """
    gc.freeze()
    gc.set_threshold(2_000, 500, 1_000)


def _is_calm(calm: str, name: str, namespace: str) -> bool:
    service, _, method = calm.partition(":")
    handle: Any = ray.get_actor(service, namespace)
    return handle.call.remote(method, name).future().result(_CALM_S)


def _hurry() -> None:
    """Run at normal priority from here on, if we may; only the start of a process was patient.

    A process that starts anew after a crash needs a second of CPU before it's of use, and others
    take over its games just then (`runtime.cluster.start_ray` makes workers start patiently).
    """
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, int(thread.name), 0)


def launch(factory: str, name: str, namespace: str, config: Any, needs: Needs | None = None) -> Any:
    """Start a service as a named, detached Ray actor that is restarted for ever; return its handle.

    The call returns at once; `ray.get(handle.call.remote("..."))` waits for the start. Services
    are spread over the nodes, so that the loss of one takes few with it.
    """
    needs = needs or Needs()
    where = NodeAffinitySchedulingStrategy(needs.node, soft=True) if needs.node else "SPREAD"
    actor = ray.remote(_Host).options(
        name=name,
        namespace=namespace,
        lifetime="detached",
        max_restarts=-1,
        num_cpus=needs.cpus,
        resources={needs.resource: 1} if needs.resource else {},
        scheduling_strategy=where,
        get_if_exists=True,
    )
    return actor.remote(factory, name, namespace, pickle.dumps(config), needs.calm)
