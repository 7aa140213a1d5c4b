"""A WebSocket that has left ASGI: no task and no queue, only calls in both directions.

uvicorn's own protocol does the handshake, and the ASGI application says who may come in. Then it
calls `attach`, and from there on a message costs a fifth of what it costs through ASGI.
"""

from __future__ import annotations

import logging
from asyncio import BaseTransport, TimerHandle, Transport
from typing import Any, cast

from msgspec import Struct
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN

from gateway.admission import Admission
from gateway.allowance import IDLE_TALK, Allowance, Price
from gateway.frames import Inbox
from gateway.heartbeat import Heartbeat
from gateway.held import LateWriter
from gateway.lane import Lane
from gateway.metrics import Counts
from gateway.settings import GatewaySettings
from gateway.talker import NOBODY, Talker
from gateway.turns import Turns

_log = logging.getLogger(__name__)

EXTENSION = "gameshard.socket"
"""Where the ASGI application finds the socket in its scope's `extensions`."""
UNSUPPORTED, BAD_TEXT, POLICY, TOO_LARGE, TRY_LATER, RESTART = 1003, 1007, 1008, 1009, 1013, 1012
INTERNAL = 1011
UNAUTHENTICATED, NO_SUCH_GAME, IDLE, TOO_MANY = 4401, 4404, 4408, 4429

_CLOSE_S = 2.0
_TURNED_OUT_S = 1.0
_LATE_BYTES = 1 << 16
_LATE_FRAMES = 64
_FIRST = 2
"""So many frames are read as they come; the rest waits for its turn."""
_FRAMES = 4
"""So many are read in a turn."""
_SAMPLES = 4
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Surroundings(Struct, frozen=True):
    """What all sockets of a gateway share."""

    settings: GatewaySettings
    heartbeat: Heartbeat
    counts: Counts
    late: LateWriter
    lane: Lane
    admission: Admission
    reading: Turns
    """In which sockets are read on that say much at once."""
    losses: Turns
    """In which games are left by those who are gone: a thousand may go at once."""


class GameSocket(WebSocketsSansIOProtocol):
    """One connection."""

    slot = 0
    round_trip_ms = 0
    """The least of the last four measured round trips; 0 before the first."""
    _talker: Talker | None = None
    _open = False

    # --- handshake ---------------------------------------------------------------------------

    def handle_connect(self, event: Any) -> None:
        """Begin the ASGI application, and let it find us."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            cast("dict[str, Any]", self.scope)["extensions"][EXTENSION] = self

    async def run_asgi(self) -> None:
        """Run the application; unlike uvicorn's, it may return and leave the socket open."""
        try:
            await self.app(self.scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except BaseException:  # noqa: BLE001  (as in uvicorn: logged, and answered)
            _log.exception("the WebSocket's handshake failed")
            self.send_500_response()
            self.transport.close()
        else:
            if self._talker is None and self.close_timer is None:
                self.send_500_response()
                self.transport.close()

    def attach(self, talker: Talker, around: Surroundings, caller: str) -> None:
        """Leave ASGI: from now on `talker` hears what comes in. The handshake must be accepted.

        A flood is held against `caller`.
        """
        settings = around.settings
        self._talker = talker
        self._caller = caller
        self._around = around
        self._open = not self.transport.is_closing()
        self._inbox = Inbox(self.conn, settings.frame_bytes)
        self._allowance = Allowance(settings.frame_rate, settings.frame_burst)
        self._room = settings.write_buffer
        self._full = False
        self._halted = False
        self._queued = False
        self._yielding = False
        self._closing: TimerHandle | None = None
        self._pinged_at = 0.0
        self._ping = 0
        self._round_trips: list[int] = []
        self._parts: list[bytes] | None = None
        self._late_bytes = self._late_frames = 0
        self._held = b""
        # Not needed any more; of 10,000 sockets they'd be 60 MB.
        for name in ("scope", "request", "response", "queue", "frames", "writable"):
            self.__dict__.pop(name, None)
        self.transport.set_write_buffer_limits(high=settings.write_buffer // 4)
        around.counts.sockets += 1
        around.heartbeat.join(self)
        if not self._open:
            return
        if self.read_paused:  # it spoke before it was let in
            self.close(POLICY, "early")
            return
        self._send_ping(self.loop.time())

    def _unreadable(self) -> None:
        """Answer a handshake that websockets can't read, which uvicorn would leave as it is."""
        if not self.handshake_initiated and not self.transport.is_closing():
            answer = b"".join(self.conn.data_to_send())
            self.transport.write(answer or _BAD_REQUEST)
            self.transport.close()

    # --- coming in ---------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take bytes from the network."""
        if self._talker is None:
            super().data_received(data)
            if self.conn.handshake_exc is not None:
                self._unreadable()
        elif self._open:
            self._inbox.feed(data)
            if not self._halted:
                self.pump(_FIRST)
        else:
            self._late(data)

    def pump(self, most: int = _FRAMES) -> None:
        """Handle what has come in, as far as that may be done now, and `most` frames of it."""
        talker, inbox = self._talker, self._inbox
        assert talker is not None
        now = self.loop.time()
        while self._open and inbox:
            if self._full or talker.busy:
                self._halt()
                return
            if not most:
                self._yield()
                return
            if not self._may_read(now):
                self._queue()
                return
            most -= 1
            item = inbox.take()
            if item is None:
                break
            if type(item) is bytes:
                self._text(item)
            else:
                self._events(cast("list[Any]", item))
        self._allowance.caught_up(now)
        if self._halted and self._open:
            self._halted = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def _may_read(self, now: float) -> bool:
        """Take the token for reading a frame: our own, or a spare one."""
        if self._allowance.take(now):
            return True
        self._allowance.over = True
        return self._around.lane.spare(now)

    def _yield(self) -> None:
        """Read on in another turn of the loop: a thousand may speak in this one."""
        self._halt()
        if not self._yielding:
            self._yielding = True
            self._around.reading.later(self._go_on)

    def _go_on(self) -> None:
        self._yielding = False
        self.pump()

    def _queue(self) -> None:
        """Read on when it's our turn; what comes until then waits in the network."""
        self._halt()
        if not self._queued:
            self._queued = True
            self._around.counts.throttled += 1
            self._around.lane.join(self)

    def visit(self) -> None:
        """Read on: it's our turn."""
        self._queued = False
        self.pump()

    def charge(self, price: Price) -> None:
        """Take what a frame turned out to cost; who floods is closed."""
        if self._allowance.charge(price, self.loop.time()):
            self.close(TOO_MANY, "too fast")

    def _halt(self) -> None:
        if not self._halted and not self.transport.is_closing():
            self._halted = True
            self.transport.pause_reading()

    def _text(self, payload: bytes) -> None:
        assert self._talker is not None
        self._around.counts.frames_in += 1
        if not payload.isascii():
            try:
                payload.decode()
            except UnicodeDecodeError:
                self.close(BAD_TEXT, "not UTF-8")
                return
        self._talker.on_text(payload)

    def _events(self, events: list[Any]) -> None:
        """Handle what websockets made of a frame."""
        self.charge(IDLE_TALK)
        for event in events:
            match cast("Frame", event).opcode:
                case Opcode.TEXT | Opcode.CONT:
                    self._part(event)
                case Opcode.BINARY:
                    self.close(UNSUPPORTED, "text only")
                case Opcode.PONG:
                    self._ponged(bytes(event.data))
                case _:
                    pass
            if not self._open:
                return
        output = b"".join(self.conn.data_to_send())
        if output:
            self.flush()  # a goodbye is among it, perhaps, behind which nothing may come
            self._write(output)
        if self.conn.parser_exc is not None:
            self._around.counts.closes["protocol error"] += 1
            self._linger()
        elif self.conn.state is not OPEN:  # it said goodbye
            self._open = False
            self.transport.close()

    def _part(self, event: Frame) -> None:
        if self._parts is None:
            self._parts = []
        self._parts.append(bytes(event.data))
        if event.fin:
            parts, self._parts = self._parts, None
            self._text(b"".join(parts))

    def _late(self, data: bytes) -> None:
        """Look only for the answer to our close frame.

        Hanging up over unread bytes would reset the connection before our frame was read.
        """
        inbox = self._inbox
        inbox.feed(data)
        self._late_bytes += len(data)
        if self._late_bytes > _LATE_BYTES:
            self.transport.abort()
        while self.conn.parser_exc is None and inbox.take() is not None:
            self._late_frames += 1  # each takes websockets as long as ten take us
            if self.conn.close_rcvd is not None:
                self.transport.close()
                return
            if self._late_frames > _LATE_FRAMES:
                self.transport.abort()
                return

    # --- going out ---------------------------------------------------------------------------

    def hold(self, frame: bytes) -> None:
        """Send a frame in one write with the next one, or alone when this turn ends."""
        if self._open:
            if not self._held:
                self._around.late.add(self)
            self._held += frame

    def flush(self) -> None:
        """Send what is held back."""
        if self._held:
            self.write(b"")

    def write(self, frame: bytes) -> None:
        """Send whole frames. Never waits and never fails; a full socket is dropped."""
        if not self._open:
            return
        if self._held:
            frame, self._held = self._held + frame, b""
        if self._full and self.transport.get_write_buffer_size() > self._room:
            self._drop("slow")
            return
        self._write(frame)

    def begin(self, frames: bytes) -> None:
        """Send the beginning of a subscription, which may be larger than a socket's usual room."""
        if self._open:
            usual = self._around.settings.write_buffer
            room = self._room if self._full else usual
            self._room = min(room + len(frames), 16 * usual)
            self.write(frames)

    def _write(self, data: bytes) -> None:
        try:
            self.transport.write(data)
        except Exception as error:  # noqa: BLE001  (whatever ails this socket is its own affair)
            _log.debug("a socket can't be written to: %s", error)
            self._drop("broken")

    def pause_writing(self) -> None:
        """Note that the client doesn't read; then neither do we read what it says."""
        if self._talker is None:
            super().pause_writing()
        else:
            self._full = True

    def resume_writing(self) -> None:
        """Note that the client has read nearly everything."""
        if self._talker is None:
            super().resume_writing()
        else:
            self._full = False
            self._room = self._around.settings.write_buffer
            if self._open and self._halted:
                self.pump()

    # --- life and death ----------------------------------------------------------------------

    def beat(self, now: float) -> None:
        """Ping; close if the ping before wasn't answered in a whole interval."""
        if not self._open:
            return
        assert self._talker is not None
        if not self._pinged_at:
            self._send_ping(now)
        elif self._full or not self._halted:  # else the pong waits behind what isn't read yet
            self.close(IDLE, "idle")
            return
        self._talker.on_beat()

    def _send_ping(self, now: float) -> None:
        self._ping += 1
        self._pinged_at = now
        self._write(b"\x89\x04" + self._ping.to_bytes(4, "big"))

    def _ponged(self, payload: bytes) -> None:
        if self._pinged_at and payload == self._ping.to_bytes(4, "big"):
            took = max(1, int(1000 * (self.loop.time() - self._pinged_at)))
            self._pinged_at = 0.0
            self._round_trips = [*self._round_trips[1 - _SAMPLES :], took]
            self.round_trip_ms = min(self._round_trips)

    def close(self, code: int, reason: str) -> None:
        """Say goodbye, and hang up soon whatever the client answers."""
        if not self._open:
            return
        self.flush()
        self._around.counts.closes[reason] += 1
        if self.conn.state is OPEN:
            self.conn.send_close(code, reason)
            self._write(b"".join(self.conn.data_to_send()))
        if code == TOO_MANY:
            self._turn_out()
        else:
            self._linger()

    def _turn_out(self) -> None:
        """Read nothing more, and hang up when the client has had time to read why."""
        self._open = False
        self._around.admission.punish(self._caller)
        self._halt()
        self._closing = self.loop.call_later(_TURNED_OUT_S, self._hang_up)

    def _linger(self) -> None:
        """Hang up when the client has, or soon."""
        self._open = False
        self._late_bytes = len(self._inbox)
        if self._halted and not self.transport.is_closing():
            self._halted = False
            self.transport.resume_reading()
        if self._closing is None:
            self._closing = self.loop.call_later(_CLOSE_S, self._hang_up)

    def _hang_up(self) -> None:
        self._closing = None
        self.transport.abort()

    def _drop(self, reason: str) -> None:
        """Hang up at once: there's nobody to say goodbye to."""
        if self._open:
            self._open = False
            self._around.counts.closes[reason] += 1
            # Not here: we may be in the midst of writing to many.
            self.loop.call_soon(self.transport.abort)

    def shutdown(self) -> None:
        """End with the server."""
        if self._talker is None:
            super().shutdown()
        else:
            self.close(RESTART, "restart")

    def connection_made(self, transport: BaseTransport) -> None:
        """Begin the handshake."""
        super().connection_made(cast("Transport", transport))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever stood behind the socket."""
        if self._talker is None:
            super().connection_lost(exc)
            return
        self._open = False
        self.disconnected = True
        self.connections.discard(self)
        if self._closing is not None:
            self._closing.cancel()
        self._around.heartbeat.leave(self)
        self._around.counts.sockets -= 1
        self._around.losses.add(self._leave)

    def _leave(self) -> None:
        """Leave the games, and be freed at once.

        What refers to itself is freed by a search for cycles only, and that of a thousand
        connections stops everybody for 40 ms.
        """
        talker, self._talker = self._talker, NOBODY
        if talker is not None:
            talker.on_lost()
        self.conn.parser.close()
