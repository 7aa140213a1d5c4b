"""The link: one TCP connection between a gateway and a shard, carrying batches both ways.

Whatever is pushed in one turn of the event loop leaves in one frame, so batches grow with the load
and an idle system adds no delay. Both ends prove that they know the cluster's secret before
anything else is said. A link that can't be written to keeps a bounded queue and is then cut:
whoever connects again resumes, so nothing is lost by it. A batch beyond the bound of a frame
leaves in several; a message beyond it is excused to whoever asked, and harms nobody else.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from msgspec import Struct

from runtime import wire
from runtime.wire import ChallengeOut, Hello, Message, RefusedOut, WelcomeOut

_log = logging.getLogger(__name__)

QUEUE_BYTES = 64 * 1024 * 1024
"""What may wait in a link's transport before the link is cut."""

HANDSHAKE_S = 5.0
_LARGEST = 4 + wire.MAX_FRAME


class LinkError(Exception):
    """The other end broke the protocol, or isn't of our cluster."""


class Unsendable(Struct, frozen=True):
    """Told to a client in a shard's stead: the ask numbered `reply` has too many bytes to leave."""

    reply: int
    size: int


class Link(asyncio.Protocol):
    """One end of a connection: frames in, frames out. Subclasses say what a batch means."""

    def __init__(self, loop: asyncio.AbstractEventLoop, linger: float = 0.0) -> None:
        """Prepare an end; while traffic is dense a frame may wait `linger` seconds for company."""
        self._loop = loop
        self._linger = linger
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._queue: list[Message] = []
        self._sent_at = 0.0
        self.ready = False

    # --- out ---------------------------------------------------------------------------------

    def push(self, message: Message) -> None:
        """Send `message` with whatever else is pushed in this turn; silently dropped once cut."""
        queue = self._queue
        queue.append(message)
        if len(queue) == 1:
            if self._linger and self._loop.time() - self._sent_at < self._linger:
                self._loop.call_later(self._linger, self._flush)
            else:
                self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        queue, self._queue = self._queue, []
        transport = self._transport
        if transport is None or not queue:
            return
        self._sent_at = self._loop.time() if self._linger else 0.0
        frame = wire.frame(queue)
        if len(frame) <= _LARGEST:
            transport.write(frame)
        else:
            for part in self._parts(queue, len(frame)):
                transport.write(part)
        if transport.get_write_buffer_size() > QUEUE_BYTES:
            self.cut()

    def _parts(self, messages: Sequence[Message], size: int) -> Iterator[bytearray]:
        """Yield frames of messages that have `size` bytes in one frame, which is too many."""
        if len(messages) == 1:
            what, game = type(messages[0]).__name__, getattr(messages[0], "game", "")
            _log.error("a %s %s of %d bytes is too large to be sent", what, game, size)
            instead = self.excuse(messages[0], size)
            if instead is not None:
                yield wire.frame([instead])
            return
        half = len(messages) // 2
        for part in (messages[:half], messages[half:]):
            frame = wire.frame(part)
            if len(frame) <= _LARGEST:
                yield frame
            else:
                yield from self._parts(part, len(frame))

    def excuse(self, message: Any, size: int) -> Message | None:
        """Tell whoever waits that `message` can't be sent; return what is sent in its place."""
        raise NotImplementedError

    def cut(self) -> None:
        """Drop the connection at once, with what waits in it."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Send what waits and end the connection."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    # --- in ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=1024 * 1024)

    def data_received(self, data: bytes) -> None:
        """Cut the stream into frames and hand on each one's messages."""
        received = self._received
        if received:
            received += data
            view = memoryview(bytes(received))
        else:
            view = memoryview(data)
        at, end = 0, len(view)
        while end - at >= 4:
            size = int.from_bytes(view[at : at + 4], "big")
            if size > wire.MAX_FRAME:
                self._fail(f"a frame of {size} bytes")
                return
            if end - at - 4 < size:
                break
            try:
                self.batch(view[at + 4 : at + 4 + size])
            except (wire.msgspec.DecodeError, LinkError) as error:
                self._fail(str(error))
                return
            at += 4 + size
        self._received = bytearray(view[at:])

    def batch(self, data: memoryview) -> None:
        """Take the messages of one frame."""
        raise NotImplementedError

    def _fail(self, why: str) -> None:
        self.failure = why
        self.cut()

    failure: str | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the transport; subclasses tell whoever waits."""
        del exc
        self._transport = None
        self.ready = False

    def pause_reading(self) -> None:
        """Stop taking messages: the other end's queue fills up, and it stops, too."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take messages again."""
        if self._transport is not None:
            self._transport.resume_reading()


class ServerLink(Link):
    """The shard's end. It speaks first, and believes nothing before the right `Hello`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, secret: bytes) -> None:
        """Prepare to prove and be proven `secret`."""
        super().__init__(loop)
        self._secret = secret
        self._nonce = os.urandom(16)
        self._patience: asyncio.TimerHandle | None = None
        self.name = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Challenge the client."""
        super().connection_made(transport)
        self._patience = self._loop.call_later(HANDSHAKE_S, self.cut)
        self.push(ChallengeOut(self._nonce))

    def batch(self, data: memoryview) -> None:
        """Pass messages on once the client has proven itself."""
        messages = wire.decode_in(data)
        if not self.ready:
            self._admit(messages.pop(0))
        self.messages(messages)

    def _admit(self, hello: object) -> None:
        if not isinstance(hello, Hello) or hello.version != wire.VERSION:
            raise LinkError("a client of another version")
        if not hmac.compare_digest(hello.proof, wire.proof(self._secret, self._nonce, hello.name)):
            raise LinkError("a client that doesn't know the cluster's secret")
        self.name = hello.name
        self.ready = True
        if self._patience is not None:
            self._patience.cancel()
        self.push(WelcomeOut(wire.proof(self._secret, hello.nonce, "shard")))

    def messages(self, messages: list[Any]) -> None:
        """Take what the client asks."""
        raise NotImplementedError

    def excuse(self, message: Any, size: int) -> Message | None:
        """Refuse in place of an answer; what nobody asked for is left out."""
        reply = getattr(message, "reply", 0)
        if not reply:
            return None
        detail = (
            f"The answer has {size} bytes, more than the {wire.MAX_FRAME} that can be sent."
            " If it's the answer to a command, that was done."
        )
        return RefusedOut(reply, message.partition, message.epoch, "answer_too_large", detail)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting for a handshake."""
        super().connection_lost(exc)
        if self._patience is not None:
            self._patience.cancel()


class ClientLink(Link):
    """The gateway's end: proves itself, is ready once welcomed."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        secret: bytes,
        name: str,
        on_message: Callable[[Any], None],
        on_lost: Callable[[ClientLink], None],
        linger: float = 0.0,
    ) -> None:
        """Prepare an end called `name`; `on_lost` is called once, when the connection ends."""
        super().__init__(loop, linger)
        self._secret = secret
        self._name = name
        self._nonce = os.urandom(16)
        self._on_message = on_message
        self._on_lost = on_lost
        self.welcomed: asyncio.Future[None] = loop.create_future()

    def batch(self, data: memoryview) -> None:
        """Pass the shard's messages on, one by one."""
        messages = wire.decode_out(data)
        if not self.ready:
            messages = self._handshake(messages)
        take = self._on_message
        for message in messages:
            take(message)

    def _handshake(self, messages: list[Any]) -> list[Any]:
        for i, message in enumerate(messages):
            if isinstance(message, ChallengeOut):
                answer = wire.proof(self._secret, message.nonce, self._name)
                self.push(Hello(wire.VERSION, self._name, self._nonce, answer))
            elif isinstance(message, WelcomeOut):
                mine = wire.proof(self._secret, self._nonce, "shard")
                if not hmac.compare_digest(message.proof, mine):
                    raise LinkError("a shard that doesn't know the cluster's secret")
                self.ready = True
                if not self.welcomed.done():
                    self.welcomed.set_result(None)
                return messages[i + 1 :]
            else:
                raise LinkError("a shard that talks before its welcome")
        return []

    def excuse(self, message: Any, size: int) -> Message | None:
        """Tell who asks; the shard hears nothing."""
        if reply := getattr(message, "reply", 0):
            self._on_message(Unsendable(reply, size))
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner of this link, and whoever waits for the welcome."""
        super().connection_lost(exc)
        if not self.welcomed.done():
            self.welcomed.set_exception(LinkError(self.failure or "the shard hung up"))
            self.welcomed.exception()
        self._on_lost(self)


async def connect(
    link: ClientLink, address: tuple[str, int], tls: ssl.SSLContext | None = None
) -> None:
    """Connect `link` and wait until it's welcomed.

    Raises:
        OSError: If nobody answers there.
        LinkError: If the other end isn't a shard of this cluster.
        TimeoutError: If it stays silent.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(HANDSHAKE_S):
            await loop.create_connection(lambda: link, *address, ssl=tls)
            await link.welcomed
    except BaseException:
        link.cut()  # whoever hangs would keep a socket of ours for every attempt
        raise
