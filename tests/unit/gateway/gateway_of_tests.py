"""A whole gateway on loopback, over a router in memory; and clients of it."""

import asyncio
import json
from contextlib import asynccontextmanager

import httpx
from memory_router import MemoryRouter
from websockets.asyncio.client import connect

from gateway.app import App, Parts
from gateway.server import Server, listen
from gateway.settings import GatewaySettings
from persistence.log import Unavailable
from persistence.snapshots import Played
from runtime.behaviours import load

SECRET = b"a secret of the tests"


class MemoryNames:
    def __init__(self) -> None:
        self.saved: dict[str, str] = {}
        self.away = False

    async def save(self, names) -> None:
        self.saved.update(names)

    async def load(self, players):
        if self.away:
            raise Unavailable
        return {p: self.saved[p] for p in players if p in self.saved}


class MemoryArchive:
    def __init__(self) -> None:
        self.ended: list[Played] = []
        self.away = False

    async def played(self, user, before, limit):
        if self.away:
            raise Unavailable
        ended = sorted(self.ended, key=lambda p: (p.ended_at, p.game), reverse=True)
        return [p for p in ended if (p.ended_at, p.game) < before][:limit]


class Gateway:
    """A running gateway and all that's behind it."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.router = MemoryRouter(load())
        self.names = MemoryNames()
        self.archive = MemoryArchive()
        self.app = App(
            Parts(
                name="gateway-0",
                router=self.router,
                behaviours=load(),
                settings=settings,
                secret=SECRET,
                names=self.names,
                archive=self.archive,
                ready=lambda: self.router.ready,
            )
        )
        self.server = Server(self.app)

    async def start(self) -> None:
        sock = listen("127.0.0.1", 0)
        self.port = sock.getsockname()[1]
        await self.server.start(sock)
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}")

    async def stop(self) -> None:
        await self.http.aclose()
        await self.server.stop()

    async def player(self, name: str) -> dict[str, str]:
        """Return the headers of a new guest; `user` is its id."""
        body = (await self.http.post("/tokens", json={"name": name})).json()
        return {"authorization": f"Bearer {body['token']}"}

    async def game(self, *players: dict[str, str]) -> str:
        """Return the id of a new game, which the second player has joined."""
        made = await self.http.post("/games", json={"color": "white"}, headers=players[0])
        assert made.status_code == 201, made.text
        game = made.json()["id"]
        if len(players) > 1:
            joined = await self.http.post(f"/games/{game}/join", headers=players[1])
            assert joined.status_code == 200, joined.text
        return game

    def ws(self, path: str, headers=None, **more):
        """Return a WebSocket to be opened."""
        url = f"ws://127.0.0.1:{self.port}{path}"
        return connect(url, additional_headers=headers, **{"compression": None, **more})


@asynccontextmanager
async def running(**settings):
    gateway = Gateway(GatewaySettings(**settings))
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


async def said(socket, kind: str | None = None) -> dict:
    """Return the next frame, or the next one of a kind; presence is passed over."""
    async with asyncio.timeout(5):
        while True:
            frame = json.loads(await socket.recv())
            if frame["type"] == (kind or frame["type"]) and (kind or frame["type"] != "presence"):
                return frame


async def say(socket, **frame) -> None:
    await socket.send(json.dumps(frame))


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)
