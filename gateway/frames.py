"""WebSocket framing without I/O: what comes in, cut into messages; what goes out, built once.

Incoming bytes mostly hold one whole, masked, unfragmented text frame; that case is cut here in
1 us (websockets' own parser takes 15). Everything else (fragments, control frames, errors) goes
frame by frame to websockets' `ServerProtocol`, which stays the authority: a property test feeds
both the same streams.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.speedups import apply_mask

TEXT = 0x81
_CLEAN = frozenset((0x81, 0x01, 0x82, 0x02, 0x80, 0x00, 0x88, 0x89, 0x8A))
"""First bytes of frames that the protocol may accept, if they come at the right time."""


def text_frame(payload: bytes) -> bytes:
    """Return a server's frame with a whole text message (RFC 6455, 5.2: no mask)."""
    size = len(payload)
    if size < 126:
        return b"\x81" + size.to_bytes(1, "big") + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


class Inbox:
    """One connection's incoming bytes. `feed` them, then `take` until there's nothing whole."""

    __slots__ = ("_conn", "_data", "_hopeless", "_limit", "_pos")

    def __init__(self, conn: ServerProtocol, limit: int) -> None:
        """Read for `conn`, whose handshake is done; messages have at most `limit` bytes."""
        self._conn = conn
        self._limit = limit
        self._data = b""
        self._pos = 0
        self._hopeless = False

    def feed(self, data: bytes) -> None:
        """Add bytes from the network."""
        self._data = self._data[self._pos :] + data if self._pos < len(self._data) else data
        self._pos = 0

    def __len__(self) -> int:
        """Return how many bytes wait here."""
        return len(self._data) - self._pos

    def take(self) -> bytes | list[Any] | None:  # noqa: PLR0911  (each is one kind of frame)
        """Return the next text message, or what websockets made of the next frame, or None.

        A list holds websockets' events, and may be empty; look at the protocol's `parser_exc`
        and `data_to_send` then. None: the next frame isn't whole yet.
        """
        data, pos = self._data, self._pos
        left = len(data) - pos
        if self._hopeless and left:
            return self._pass(len(data))
        if left < 2:
            return None
        head, size, conn = data[pos], data[pos + 1] & 0x7F, self._conn
        begin = 6 if size < 126 else 8 if size == 126 else 14
        if head not in _CLEAN or data[pos + 1] < 0x80:
            self._hopeless = True  # websockets refuses it, now or when it's whole
            return self._pass(len(data))
        if left < begin - 4:
            return None
        if size > 125:
            size = int.from_bytes(data[pos + 2 : pos + begin - 4], "big")
        end = pos + begin + size
        if size > self._limit - (conn.current_size or 0):
            end = len(data)  # websockets refuses it by its length
        elif end > len(data):
            return None
        elif head == TEXT and conn.current_size is None and conn.state is OPEN:
            self._pos = end
            return apply_mask(data[pos + begin : end], data[pos + begin - 4 : pos + begin])
        return self._pass(end)

    def _pass(self, end: int) -> list[Any]:
        """Give the bytes up to `end` to websockets."""
        data = self._data[self._pos : end]
        self._pos = end
        if self._conn.parser_exc is None:
            self._conn.receive_data(data)
        return self._conn.events_received()


class Envelope(Struct):
    """What the gateway reads of a client's frame; the rest is the game's business."""

    type: str
    id: str | None = None
    game: str | None = None


class Subscribe(Struct, forbid_unknown_fields=True):
    """Begin to follow a game: from its present state, or with what came `after` a seq."""

    type: str
    game: str | None = None
    id: str | None = None
    after: int | None = None
    resume: str | None = None


class Plain(Struct, forbid_unknown_fields=True):
    """A frame with nothing but its envelope."""

    type: str
    id: str | None = None
    game: str | None = None


class Resuming(Struct, forbid_unknown_fields=True):
    """Show a resume token: go on as the player that it was given to."""

    type: str
    resume: str
    game: str | None = None
    id: str | None = None


class Rejection(Struct, tag_field="type", tag="rejected"):
    """A frame was refused; nothing happened."""

    id: str | None
    game: str | None
    code: str
    detail: str


class Accepted(Struct, tag_field="type", tag="accepted"):
    """A command is event `seq` of its game."""

    id: str | None
    game: str
    seq: int


class Resumed(Struct, tag_field="type", tag="resumed"):
    """The missed events follow, up to `seq`."""

    game: str
    seq: int
    resume: str | None


class SnapshotOut(Struct, tag_field="type", tag="snapshot"):
    """The game as it is at `seq`."""

    game: str
    seq: int
    state: Any
    resume: str | None


class Unsubscribed(Struct, tag_field="type", tag="unsubscribed"):
    """No more of this game comes."""

    game: str
    id: str | None


class Pong(Struct, tag_field="type", tag="pong", omit_defaults=True):
    """The answer to a ping; `now` is the server's time."""

    now: Any
    id: str | None = None


class Reconnect(Struct, tag_field="type", tag="reconnect"):
    """Connect anew after so many milliseconds, also if we hang up before: we're about to stop."""

    after_ms: int


peek = msgspec.json.Decoder(Envelope).decode
read_subscribe = msgspec.json.Decoder(Subscribe).decode
read_plain = msgspec.json.Decoder(Plain).decode
read_resuming = msgspec.json.Decoder(Resuming).decode

_encode = msgspec.json.Encoder().encode


def out(message: Struct) -> bytes:
    """Return a message of ours as a whole WebSocket frame."""
    return text_frame(_encode(message))
