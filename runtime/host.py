"""How our services live in Ray: each in an actor of its own, on a uvloop in a thread of its own.

Ray starts, supervises, finds and ends them; it carries no game traffic. A service that fails ends
its process, so that Ray starts it anew (`max_restarts=-1`).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

import ray
import uvloop
from ray.exceptions import RayActorError

_log = logging.getLogger(__name__)
START_S = 120.0


class Service(Protocol):
    """What runs inside a host. Its other public coroutines can be called by `Peers.call`."""

    async def start(self) -> None:
        """Begin to serve."""
        ...

    async def stop(self) -> None:
        """End in order."""
        ...


class Peers:
    """The other services of the cluster, by name."""

    def __init__(self, namespace: str) -> None:
        """Look names up in a Ray namespace."""
        self.namespace = namespace
        self._handles: dict[str, Any] = {}

    async def call(self, name: str, method: str, *args: Any, timeout: float = 5.0) -> Any:
        """Call `method` of the service called `name` and return its answer.

        Raises:
            TimeoutError: If it doesn't answer in `timeout` seconds.
            ray.exceptions.RayError, ValueError: If it's dead, or there's none of that name.
        """
        async with asyncio.timeout(timeout):
            handle = self._handles.get(name)
            if handle is None:
                loop = asyncio.get_running_loop()
                handle = await loop.run_in_executor(None, ray.get_actor, name, self.namespace)
                self._handles[name] = handle
            try:
                return await asyncio.wrap_future(handle.call.remote(method, *args).future())
            except RayActorError:
                self._handles.pop(name, None)
                raise


class _Host:
    """The Ray actor: a thread with an event loop, and one service on it."""

    def __init__(self, factory: str, name: str, namespace: str, config: Any) -> None:
        """Start `factory` ("module:callable"), called with (name, peers, config)."""
        logging.basicConfig(level=os.environ.get("GAMESHARD_LOG", "WARNING"))
        module, _, attribute = factory.partition(":")
        make: Callable[..., Service] = getattr(importlib.import_module(module), attribute)
        started: Future[None] = Future()
        self._loop = uvloop.new_event_loop()
        self._service: Service | None = None

        async def start() -> None:
            self._service = make(name, Peers(namespace), config)
            await self._service.start()

        def run() -> None:
            asyncio.set_event_loop(self._loop)
            try:
                self._loop.run_until_complete(start())
                started.set_result(None)
            except BaseException as error:  # noqa: BLE001  (told to whoever waits for the start)
                started.set_exception(error)
                return
            with contextlib.suppress(KeyboardInterrupt):
                self._loop.run_forever()

        threading.Thread(target=run, name=name, daemon=True).start()
        started.result(START_S)
        # What is loaded now stays; and a hundred thousand live games aren't searched for cycles
        # again and again: a full collection would stop every one of them.
        gc.freeze()
        gc.set_threshold(50_000, 20, 1_000)

    async def call(self, method: str, *args: Any) -> Any:
        """Run a coroutine of the service on its own loop."""
        work = getattr(self._service, method)(*args)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))


def launch(factory: str, name: str, namespace: str, config: Any) -> Any:
    """Start a service as a named, detached Ray actor that is restarted for ever; return its handle.

    The call returns at once; `ray.get(handle.call.remote("..."))` waits for the start.
    """
    actor = ray.remote(_Host).options(
        name=name,
        namespace=namespace,
        lifetime="detached",
        max_restarts=-1,
        num_cpus=0,
        get_if_exists=True,
    )
    return actor.remote(factory, name, namespace, config)
