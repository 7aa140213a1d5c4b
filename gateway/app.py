"""A gateway put together: one ASGI application made of what it's given."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping

from msgspec import Struct
from starlette.middleware.cors import CORSMiddleware

from actors.behaviour import Behaviour
from gateway.admission import Admission
from gateway.asyncapi import asyncapi
from gateway.callers import Callers
from gateway.catalog import Catalog
from gateway.doorway import Doorway
from gateway.frames import Reconnect, out
from gateway.heartbeat import Heartbeat
from gateway.http import Receive, Scope, Send
from gateway.http_games import Games
from gateway.identity import Identity
from gateway.lane import Lane
from gateway.metrics import Counts
from gateway.names import NameBook, Names
from gateway.openapi import openapi
from gateway.openings import Openings
from gateway.operators import Operators
from gateway.pages import Archive, Pages, PageSettings
from gateway.problems import Problems
from gateway.resume import ResumeTokens
from gateway.session import Hall
from gateway.settings import GatewaySettings
from gateway.socket import RESTART, LateWriter, Surroundings
from gateway.topics import Topics
from gateway.turns import Turns
from gateway.views import Views
from runtime.router import Router

_LOOK_S = 0.05
_AT_ONCE = 1
"""Handshakes; whoever comes in the same moment waits for 2 ms."""
_SHARE_S = 0.0005
"""So long a turn sockets are read that say much at once, and so long those leave that are gone."""
_LATE_S = 1.0
"""Whoever hasn't gone so long after its moment is not waited for."""


class Parts(Struct, frozen=True, kw_only=True):
    """What a gateway is made of.

    Attributes:
        name: Which gateway this is, for metrics and load balancers.
        router: The door to the games; started.
        behaviours: The installed games, by kind.
        settings: How clients are treated.
        secret: The cluster's secret; keys for tokens are derived from it.
        names: Where display names are kept.
        archive: Who played what.
        ready: Whether games can be served now.
    """

    name: str
    router: Router
    behaviours: Mapping[str, Behaviour]
    settings: GatewaySettings
    secret: bytes
    names: Names
    archive: Archive
    ready: Callable[[], bool]


class App:
    """The ASGI application. Belongs to the event loop it was made on."""

    def __init__(self, parts: Parts) -> None:
        """Put it together; raises ValueError if settings or games contradict each other."""
        loop, settings, router = asyncio.get_running_loop(), parts.settings, parts.router
        self.parts = parts
        self.counts = Counts()
        catalog = Catalog(parts.behaviours, settings.default_kind)
        self._book = NameBook(parts.names)
        identity = Identity(settings, parts.secret)
        callers = Callers(identity, self._book, settings)
        self.admission = Admission(
            identity, settings, self.counts, Lane(loop, settings.handshake_rate, _AT_ONCE)
        )
        views = Views(catalog, self._book)
        self._games = Games(router, catalog, views, callers, settings, self.counts)
        topics = Topics(router, settings, self.counts, loop, catalog.turning)
        self._hall = Hall(
            router,
            topics,
            Openings(views, self._book, topics),
            catalog,
            ResumeTokens(parts.secret),
            settings,
            self.counts,
            set(),
            Turns(loop),
        )
        self._heartbeat = Heartbeat(loop, settings.heartbeat)
        around = Surroundings(
            settings,
            self._heartbeat,
            self.counts,
            LateWriter(loop),
            Lane(loop, settings.spare_rate, max(1, round(settings.spare_rate / 10))),
            self.admission,
            Turns(loop, _SHARE_S),
            Turns(loop, _SHARE_S),
        )
        self._doorway = Doorway(self._hall, callers, around)
        operate = Operators(router, parts.secret).operate
        documents = PageSettings(
            parts.name, operate, openapi(catalog), asyncapi(catalog), parts.ready
        )
        self._pages = Pages(
            router, callers, parts.archive, Problems(catalog.statuses), self.counts, documents
        )
        self._starlette = self._pages.app()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or connection."""
        if scope["type"] == "http":
            path: str = scope["path"]
            if path == "/games" or path.startswith("/games/"):
                await self._games(scope, receive, send)
            else:
                await self._starlette(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._doorway(scope, receive, send)

    @property
    def sockets(self) -> int:
        """How many clients are connected."""
        return len(self._hall.sessions)

    async def drain(self) -> None:
        """Ask the clients to connect elsewhere; return when they have, or have had the time."""
        self._pages.stopping = True
        self.disperse(self.sockets)
        loop = asyncio.get_running_loop()
        until = loop.time() + self.parts.settings.reconnect_ms / 1000 + _LATE_S
        while self._hall.sessions and loop.time() < until:  # noqa: ASYNC110  (who goes tells nobody)
            await asyncio.sleep(_LOOK_S)

    def disperse(self, count: int) -> None:
        """Ask so many clients to connect anew, each at a moment of its own."""
        sessions = list(self._hall.sessions)
        for session in random.sample(sessions, min(count, len(sessions))):
            session.socket.write(out(Reconnect(self._moment())))

    def _moment(self) -> int:
        spread = self.parts.settings.reconnect_ms
        return random.randint(spread // 10, spread)  # noqa: S311  (to spread the load)

    async def stop(self) -> None:
        """Begin a planned stop: answer long polls, send the sockets elsewhere, keep the names."""
        self._pages.stopping = True
        self._games.stop()
        for session in tuple(self._hall.sessions):
            session.socket.write(out(Reconnect(self._moment())))
            session.socket.close(RESTART, "restart")
        await self._book.close()
        self._hall.topics.close()
        self._heartbeat.close()


def create_app(parts: Parts) -> App:
    """Return a gateway's application, for the running event loop."""
    return App(parts)


def with_cors(app: App) -> App | CORSMiddleware:
    """Return `app` as pages of the allowed origins may call it."""
    origins = [o.strip() for o in app.parts.settings.cors_origins.split(",") if o.strip()]
    if not origins:
        return app
    return CORSMiddleware(
        app,  # pyright: ignore[reportArgumentType]  (an ASGI application, in our narrower words)
        allow_origins=origins,
        allow_methods=["GET", "POST"],
        allow_headers=["authorization", "content-type", "idempotency-key", "if-none-match"],
        expose_headers=["etag", "location", "retry-after", "ratelimit", "ratelimit-policy"],
        max_age=3600,
    )
