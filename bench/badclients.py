"""Clients that misbehave in the middle of a broadcast: they vanish, stall or flood.

They live on the server's machine, while real ones bring their own. So they give way to everything
else (nice 10) and are kept on a leash: all together use no more than a set share of a core, which
is still enough to fill every connection's buffers. What they used is counted with what they did.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import time
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
_MOST_USERS = 1_000
_LOOK_SECONDS = 0.25
_SLACK_SECONDS = 0.1
_TURN_SECONDS = 0.002
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST, without a farewell


class _Leash:
    """Keeps this process's CPU below `share` of a core, by making it wait."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._from = (time.perf_counter(), time.process_time())

    def start(self) -> None:
        """Count from now on."""
        self._from = (time.perf_counter(), time.process_time())

    def wait(self) -> float:
        """Return for how many seconds nothing may be done; 0 if something may."""
        passed, used = time.perf_counter() - self._from[0], time.process_time() - self._from[1]
        return max(0.0, (used - _SLACK_SECONDS) / self._share - passed)

    async def loose(self, random: Random) -> None:
        """Wait until something may be done; a crowd that waits doesn't wake up all at once."""
        while wait := self.wait():  # noqa: ASYNC110 -- for a moment, not for an event
            await asyncio.sleep(wait + 0.2 * random.random())


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
            await self._load.leash.loose(self._load.random)
            self._game = self._load.some_game()
            try:
                transport, _ = await ws_connect(
                    lambda: self,
                    self._load.target.websocket,
                    extra_headers={"Authorization": f"Bearer {self._user.token}"},
                    ssl_context=self._load.target.context(),
                    socket_factory=_small_buffers,
                    logger_name="bench",
                )
            except Exception:  # noqa: BLE001 -- turned away, in whatever way
                self._count("turned away")
            else:
                self._count("connected")
                try:
                    await transport.wait_disconnected()
                finally:
                    transport.disconnect(graceful=False)
            await asyncio.sleep(self._load.random.uniform(0.2, 1.0))

    def _count(self, what: str, times: int = 1) -> None:
        self._load.tally.counts[f"{self._kind}: {what}"] += times

    def on_ws_connected(self, transport: WSTransport) -> None:
        """See `WSListener`."""
        self._transport = transport
        self._paused = False
        self._patience = self._load.random.randrange(2, 12)
        transport.send(_TEXT, f'{{"type":"subscribe","game":"{self._game}"}}'.encode())
        if self._kind == "stall":
            transport.underlying_transport.pause_reading()
        elif self._kind == "flood":
            self._load.eager(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """See `WSListener`."""
        if frame.msg_type == WSMsgType.CLOSE:
            self._count(f"closed {frame.get_close_code()}")
            transport.disconnect(graceful=False)
            return
        self._patience -= 1
        if self._kind == "vanish" and self._patience == 0:
            link: Any = transport.underlying_transport
            link.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            link.abort()
            self._count("reset")

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        """See `WSListener`."""
        self._transport = None

    def pause_writing(self) -> None:
        """See `WSListener`: the server takes no more just now."""
        self._paused = True

    def resume_writing(self) -> None:
        """See `WSListener`."""
        self._paused = False
        self._load.eager(self)

    def flood(self) -> None:
        """Send a burst; more of it as soon as that's possible."""
        if self._transport is not None and not self._paused:
            for _ in range(_BURST):
                self._transport.send(_TEXT, self._load.nonsense(self._game))
            self._count("frames", _BURST)
            self._load.eager(self)


def _small_buffers(_: object) -> socket.socket:
    """Return a socket whose buffers are soon full, so that a stalled one is felt at once."""
    link = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    link.setblocking(False)
    return link


@dataclass(frozen=True)
class BadJob:
    """`count` clients of each of `kinds`, which act in the phases whose name begins "bad".

    They are as many users, up to a thousand of each kind, and use at most `cpu` of a core.
    """

    url: str
    kinds: tuple[str, ...]
    count: int
    games_file: Path
    cpu: float = 0.5

    def __call__(self) -> BadClients:
        """Make the load (in its own process)."""
        return BadClients(self)


class BadClients:
    """The load; a `bench.crew.Load`."""

    def __init__(self, job: BadJob) -> None:
        self.tally = Tally()
        self.target: Target = target(job.url)
        self.random = Random(1)
        self.leash = _Leash(job.cpu)
        self._job = job
        self._games: list[str] = []
        self._users: list[User] = []
        self._living: list[asyncio.Task[None]] = []
        self._eager: dict[_BadClient, None] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def prepare(self) -> None:
        """Fetch tokens; nobody connects yet."""
        os.nice(_NICE)
        pool = Pool(self.target, 8)
        each = min(_MOST_USERS, self._job.count)
        self._users = await fetch_users(pool, each * len(self._job.kinds))
        pool.close()
        self._tasks = [
            asyncio.ensure_future(do()) for do in (self._read_games, self._count_cpu, self._flood)
        ]

    def begin(self, start: float, until: float) -> None:
        """Nothing begins before its phase."""

    def enter(self, phase: str) -> None:
        """Send the bad clients in, or out."""
        for task in self._living:
            task.cancel()
        self._living = []
        if phase.startswith("bad"):
            self.leash.start()
            self._living = [
                asyncio.ensure_future(_BadClient(self, user, kind).live())
                for place, kind in enumerate(self._job.kinds)
                for user in self._users_of(place)
            ]

    async def drain(self) -> None:
        """Send them out."""
        self.enter("over")

    async def finish(self) -> Any:
        """Nothing is left to be done."""

    def some_game(self) -> str:
        """Return a game that is being played."""
        return self.random.choice(self._games) if self._games else ""

    def eager(self, client: _BadClient) -> None:
        """Note that a flooder could send more."""
        self._eager[client] = None

    def nonsense(self, game: str) -> bytes:
        """Return a frame for a flood: a ping, a stranger's move, or no JSON at all."""
        return self.random.choice(_FRAMES)(game)

    def _users_of(self, place: int) -> list[User]:
        """Return who the clients of a kind are: the kinds share nobody."""
        each = len(self._users) // len(self._job.kinds)
        users = self._users[place * each : (place + 1) * each]
        return [users[number % each] for number in range(self._job.count)]

    async def _read_games(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                self._games = self._job.games_file.read_text().split()
            await asyncio.sleep(0.5)

    async def _flood(self) -> None:
        while True:
            now, self._eager = self._eager, {}
            for client in now:
                await self.leash.loose(self.random)
                client.flood()
            await asyncio.sleep(_TURN_SECONDS)

    async def _count_cpu(self) -> None:
        before = time.process_time()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = time.process_time()
            self.tally.counts["bad clients' own CPU, ms"] += round(1000 * (now - before))
            before = now


_FRAMES: tuple[Callable[[str], bytes], ...] = (
    lambda _: b'{"type":"ping"}',
    lambda game: f'{{"type":"move","game":"{game}","uci":"e2e4","ply":0}}'.encode(),
    lambda game: f'{{"type":"subscribe","game":"{game}"}}'.encode(),
)
