"""One player's socket for many games (`/ws`), kept for a whole run, connected again if lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import msgspec
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.target import Target
from bench.users import User

_TEXT = WSMsgType.TEXT
_CLOSE = WSMsgType.CLOSE
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


class Frame(msgspec.Struct, gc=False):
    """Whatever the server sends, as far as a bench looks at it. `type` is as in the API."""

    type: str
    game: str = ""
    seq: int = 0
    ply: int = -1
    uci: str = ""
    id: str | None = None
    code: str = ""
    detail: str = ""
    winner: str | None = None
    termination: str | None = None
    at: str = ""
    white_ms: int | None = None
    black_ms: int | None = None
    after_ms: int = 0


_decode = msgspec.json.Decoder(Frame).decode


class Sitter(Protocol):
    """Who uses a seat. `number` is the seat's own, as given when it was made."""

    def on_frame(self, number: int, frame: Frame) -> None:
        """Take a frame."""
        ...

    def on_lost(self, number: int) -> None:
        """Note that the socket is gone; it's being connected again."""
        ...

    def on_back(self, number: int) -> None:
        """Subscribe again: the socket is there once more."""
        ...


class Chair(Protocol):
    """Where a player sits at a table: a `Seat` of their own, or a place in a `bench.row.Row`."""

    sitter: Sitter | None

    @property
    def user(self) -> User:
        """Who sits here."""
        ...

    @property
    def connected(self) -> bool:
        """Whether there's a socket just now."""
        ...

    def send(self, text: str) -> None:
        """Send a frame, if the socket is there."""
        ...


class Seat(WSListener):
    """The socket. It's connected again with growing pauses until `close`."""

    def __init__(self, target: Target, user: User, number: int) -> None:
        super().__init__()
        self.user = user
        self.sitter: Sitter | None = None
        self._number = number
        self._target = target
        self._transport: WSTransport | None = None
        self._closing = False
        self._opened = False
        self._lost = False
        self._connecting: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether there's a socket just now."""
        return self._transport is not None

    async def connect(self) -> None:
        """Connect, trying until it works."""
        pause = _FIRST_PAUSE
        while not self._closing:
            try:
                await self._open()
            except Exception:  # noqa: BLE001
                # A server that is being killed or started breaks a handshake in many ways.
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                return

    async def _open(self) -> None:
        self._opened = False
        await ws_connect(
            lambda: self,
            self._target.websocket,
            ssl_context=self._target.context(),
            extra_headers={"Authorization": f"Bearer {self.user.token}"},
            logger_name="bench",
        )
        if not self._opened:  # picows takes a connection that ends in its handshake for a good one
            raise ConnectionError("the connection ended in its handshake")

    def send(self, text: str) -> None:
        """Send a frame, if the socket is there; if not, `on_back` is the moment to repeat it."""
        if self._transport is not None:
            self._transport.send(_TEXT, text.encode())

    def close(self) -> None:
        """Close the socket for good."""
        self._closing = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._transport is not None:
            self._transport.send_close(WSCloseCode.OK)
            self._transport.disconnect()

    def on_ws_connected(self, transport: WSTransport) -> None:
        """See `WSListener`."""
        self._transport = transport
        self._opened = True
        if self._lost and self.sitter is not None:  # before anybody sends: it subscribes first
            self.sitter.on_back(self._number)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """See `WSListener`."""
        if frame.msg_type == _TEXT:
            said = _decode(frame.get_payload_as_memoryview())
            if said.type == "reconnect":
                loop = asyncio.get_running_loop()
                loop.call_later(said.after_ms / 1000, self._leave, transport)
            elif self.sitter is not None:
                self.sitter.on_frame(self._number, said)
        elif frame.msg_type == _CLOSE:
            transport.disconnect()

    def _leave(self, transport: WSTransport) -> None:
        """Hang up, as the server asked, to connect anew; unless it was faster."""
        if transport is self._transport:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """See `WSListener`."""
        if transport is not self._transport:
            return
        self._transport = None
        self._lost = True
        if self._closing:
            return
        if self.sitter is not None:
            self.sitter.on_lost(self._number)
        self._connecting = asyncio.get_running_loop().create_task(self._again())

    async def _again(self) -> None:
        await asyncio.sleep(_FIRST_PAUSE)
        await self.connect()


async def connect_all(seats: list[Seat], on_each: Callable[[], None] = lambda: None) -> None:
    """Connect all seats, 64 at a time."""
    left = iter(seats)

    async def some() -> None:
        for seat in left:
            await seat.connect()
            on_each()

    await asyncio.gather(*(some() for _ in range(64)))
