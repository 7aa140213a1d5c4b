"""Clients that misbehave in the middle of a broadcast: they vanish, stall or flood."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.http import Pool
from bench.tally import Tally
from bench.target import Target, target
from bench.users import User, fetch_users

KINDS = ("vanish", "stall", "flood")
_TEXT = WSMsgType.TEXT
_NICE = 10  # in the real world they'd burn their own machine's CPU, not the server's
_BURST = 64
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST, without a farewell


class _BadClient(WSListener):
    """One of them. It watches a game like everybody and then misbehaves in its own way."""

    def __init__(self, load: BadClients, user: User, kind: str) -> None:
        super().__init__()
        self._load = load
        self._user = user
        self._kind = kind
        self._transport: WSTransport | None = None
        self._patience = 0
        self._paused = False
        self._game = ""

    async def live(self) -> None:
        """Connect, misbehave, and come back when thrown out, until cancelled."""
        while True:
            self._game = self._load.some_game()
            with contextlib.suppress(Exception):  # thrown out in whatever way
                transport, _ = await ws_connect(
                    lambda: self,
                    self._load.target.websocket,
                    extra_headers={"Authorization": f"Bearer {self._user.token}"},
                    ssl_context=self._load.target.context(),
                    socket_factory=_small_buffers,
                    logger_name="bench",
                )
                self._load.tally.counts[f"{self._kind}: connected"] += 1
                try:
                    await transport.wait_disconnected()
                finally:
                    transport.disconnect(graceful=False)
            await asyncio.sleep(self._load.random.uniform(0.2, 1.0))

    def on_ws_connected(self, transport: WSTransport) -> None:
        """See `WSListener`."""
        self._transport = transport
        self._paused = False
        self._patience = self._load.random.randrange(2, 12)
        transport.send(_TEXT, f'{{"type":"subscribe","game":"{self._game}"}}'.encode())
        if self._kind == "stall":
            transport.underlying_transport.pause_reading()
        elif self._kind == "flood":
            self._flood()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:  # noqa: ARG002
        """See `WSListener`."""
        self._patience -= 1
        if self._kind == "vanish" and self._patience == 0:
            link: Any = transport.underlying_transport
            link.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            link.abort()
            self._load.tally.counts["vanish: reset"] += 1

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        """See `WSListener`."""
        self._transport = None

    def pause_writing(self) -> None:
        """See `WSListener`: the server takes no more just now."""
        self._paused = True

    def resume_writing(self) -> None:
        """See `WSListener`."""
        self._paused = False
        self._flood()

    def _flood(self) -> None:
        if self._transport is None or self._paused or self._kind != "flood":
            return
        for _ in range(_BURST):
            self._transport.send(_TEXT, self._load.nonsense(self._game))
        self._load.tally.counts["flood: frames"] += _BURST
        asyncio.get_running_loop().call_soon(self._flood)


def _small_buffers(_: object) -> socket.socket:
    """Return a socket whose buffers are soon full, so that a stalled one is felt at once."""
    link = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    link.setblocking(False)
    return link


@dataclass(frozen=True)
class BadJob:
    """`count` clients of each of `kinds`, which act in the phases whose name begins "bad"."""

    url: str
    kinds: tuple[str, ...]
    count: int
    games_file: Path

    def __call__(self) -> BadClients:
        """Make the load (in its own process)."""
        return BadClients(self)


class BadClients:
    """The load; a `bench.crew.Load`."""

    def __init__(self, job: BadJob) -> None:
        self.tally = Tally()
        self.target: Target = target(job.url)
        self.random = Random(1)
        self._job = job
        self._games: list[str] = []
        self._users: list[User] = []
        self._living: list[asyncio.Task[None]] = []
        self._reading: asyncio.Task[None] | None = None

    async def prepare(self) -> None:
        """Fetch tokens; nobody connects yet."""
        os.nice(_NICE)
        pool = Pool(self.target, 8)
        self._users = await fetch_users(pool, min(200, self._job.count))
        pool.close()
        self._reading = asyncio.ensure_future(self._read_games())

    def begin(self, start: float, until: float) -> None:
        """Nothing begins before its phase."""

    def enter(self, phase: str) -> None:
        """Send the bad clients in, or out."""
        for task in self._living:
            task.cancel()
        self._living = []
        if phase.startswith("bad"):
            self._living = [
                asyncio.ensure_future(self._client(number, kind).live())
                for kind in self._job.kinds
                for number in range(self._job.count)
            ]

    async def drain(self) -> None:
        """Send them out."""
        self.enter("over")

    async def finish(self) -> Any:
        """Nothing is left to be done."""

    def some_game(self) -> str:
        """Return a game that is being played."""
        return self.random.choice(self._games) if self._games else ""

    def nonsense(self, game: str) -> bytes:
        """Return a frame for a flood: a ping, a stranger's move, or no JSON at all."""
        return self.random.choice(_FRAMES)(game)

    def _client(self, number: int, kind: str) -> _BadClient:
        return _BadClient(self, self._users[number % len(self._users)], kind)

    async def _read_games(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                self._games = self._job.games_file.read_text().split()
            await asyncio.sleep(0.5)


_FRAMES: tuple[Callable[[str], bytes], ...] = (
    lambda _: b'{"type":"ping"}',
    lambda game: f'{{"type":"move","game":"{game}","uci":"e2e4","ply":0}}'.encode(),
    lambda game: f'{{"type":"subscribe","game":"{game}"}}'.encode(),
)
