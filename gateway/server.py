"""Serving an application by uvicorn, on whatever event loop and thread we're on."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import Any, cast

import uvicorn
from uvicorn.config import Config

from gateway.app import App, with_cors
from gateway.connection import Connection
from gateway.socket import GameSocket

_RECEIVED = 32 * 1024


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address that several gateways may share.

    Raises:
        OSError: If the address can't be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # What comes in inherits it: so much is held of a client that sends and isn't read.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVED)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    made.setblocking(False)
    return made


class Server:
    """One gateway's listening end."""

    def __init__(self, app: App) -> None:
        """Prepare to serve `app`."""
        self._app = app
        self._server = uvicorn.Server(_config(app))
        self._serving: asyncio.Task[None] | None = None

    async def start(self, sock: socket.socket) -> None:
        """Begin to serve on a bound socket; return when connections are taken."""
        serve = self._server._serve([sock])  # noqa: SLF001  (`serve` would take the signals)
        self._serving = asyncio.get_running_loop().create_task(serve)
        # uvicorn tells it by a flag only
        while not self._server.started and not self._serving.done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        if self._serving.done():
            self._serving.result()

    @property
    def sockets(self) -> int:
        """How many clients are connected."""
        return self._app.sockets

    def disperse(self, count: int) -> None:
        """Ask so many clients to connect anew."""
        self._app.disperse(count)

    async def drain(self) -> None:
        """Take no new connections, and let the clients go elsewhere before `stop` cuts them off."""
        for each in self._server.servers:  # the port's other owners get whoever comes now
            each.close()
        await self._app.drain()

    async def stop(self) -> None:
        """Send the clients elsewhere, finish what is under way, then stop. Takes bounded time."""
        await self._app.stop()
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving


async def serve(app: App, sock: socket.socket, stop: asyncio.Event) -> None:
    """Serve on a bound socket until `stop` is set, then stop in order."""
    server = Server(app)
    await server.start(sock)
    await stop.wait()
    await server.stop()


def _config(app: App) -> Config:
    parts, settings = app.parts, app.parts.settings
    headers: list[tuple[str, str]] = []
    if settings.affinity_cookie:
        cookie = f"{settings.affinity_cookie}={parts.name}; Path=/; HttpOnly; SameSite=Lax"
        headers.append(("set-cookie", cookie))
    return Config(
        with_cors(app),  # pyright: ignore[reportArgumentType]  (ASGI, in our narrower words)
        http=cast("Any", partial(Connection, app.admission)),
        ws=GameSocket,
        ws_ping_interval=None,  # `gateway.heartbeat` pings
        ws_per_message_deflate=False,
        ws_max_size=settings.frame_bytes,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
        headers=headers,
        limit_concurrency=settings.connections,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=settings.stop_seconds,
    )
