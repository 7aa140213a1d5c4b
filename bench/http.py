"""A lean HTTP/1.1 client: keep-alive, one request at a time a connection, callbacks, httptools.

A general client costs several times what the server does for the same request, and then the
bench would measure itself. This one costs about 25 us of CPU a request.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, cast

import httptools

from bench.target import Target

UNANSWERED = 0
"""Status of a request whose connection failed: it is not known whether the server did it."""
_RETRY = (UNANSWERED, 429, 502, 503, 504)


class Answer(NamedTuple):
    """A response: `retry_after` is in seconds, None if the server did not say."""

    status: int
    body: bytes
    retry_after: float | None = None


OnAnswer = Callable[[Answer], None]


class UnansweredError(Exception):
    """A call had no answer but refusals until its patience ended; `last` is the last one."""

    def __init__(self, what: str, last: Answer) -> None:
        super().__init__(f"{what}: {last.status} {last.body[:200]!r}")
        self.last = last


def request(
    target: Target,
    method: str,
    path: str,
    token: str | None = None,
    body: bytes | None = None,
    key: str | None = None,
) -> bytes:
    """Return a whole request as bytes, so that a generator can build it once and send it often."""
    lines = [f"{method} {target.path}{path} HTTP/1.1", f"Host: {target.authority}"]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    if key is not None:
        lines.append(f"Idempotency-Key: {key}")
    if method == "POST":
        content = b"{}" if body is None else body
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    else:
        content = b""
    return "\r\n".join([*lines, "", ""]).encode() + content


class _Connection(asyncio.Protocol):
    """One connection of a pool. httptools calls the `on_...` methods."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._on_answer: OnAnswer | None = None
        self._body: list[bytes] = []
        self._retry_after: float | None = None

    def send(self, data: bytes, on_answer: OnAnswer) -> None:
        self._on_answer = on_answer
        self._body = []
        self._retry_after = None
        assert self._transport is not None
        self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.lost(self)
        on_answer, self._on_answer = self._on_answer, None
        if on_answer is not None:
            on_answer(Answer(UNANSWERED, str(exc or "closed by the server").encode()))

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == 11 and name.lower() == b"retry-after" and value.isdigit():
            self._retry_after = float(value)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        answer = Answer(self._parser.get_status_code(), body, self._retry_after)
        # Taken before the connection is free: that sends the next request at once.
        on_answer, self._on_answer = self._on_answer, None
        if self._parser.should_keep_alive():
            self._pool.free(self)
        else:
            self.close()
        if on_answer is not None:
            on_answer(answer)


class Pool:
    """Connections to one server. Not thread-safe: it belongs to one event loop.

    Args:
        target: The server.
        limit: How many connections at most; further requests wait for one, in order.
    """

    def __init__(self, target: Target, limit: int = 64) -> None:
        self.target = target
        self._limit = limit
        self._idle: list[_Connection] = []
        self._open = 0
        self._waiting: deque[tuple[bytes, OnAnswer]] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._closed = False
        self._context: ssl.SSLContext | None = target.context()

    def send(self, data: bytes, on_answer: OnAnswer) -> None:
        """Send one `request`; `on_answer` is called exactly once, later."""
        if self._idle:
            self._idle.pop().send(data, on_answer)
            return
        self._waiting.append((data, on_answer))
        self._widen()

    async def fetch(self, data: bytes, timeout: float = 30.0) -> Answer:
        """Send one `request` and wait for its answer; `UNANSWERED` after `timeout` seconds."""
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.send(data, functools.partial(_settle, answered))
        try:
            return await asyncio.wait_for(answered, timeout)
        except TimeoutError:
            return Answer(UNANSWERED, f"no answer in {timeout:g} s".encode())

    async def call(
        self,
        method: str,
        path: str,
        token: str | None = None,
        body: bytes | None = None,
        key: str | None = None,
        patience: float = 30.0,
    ) -> Answer:
        """Send what may be repeated until it is answered, for `patience` seconds.

        Only for requests that act once however often they come (GET, a POST with a key).

        Raises:
            UnansweredError: If the server was away, or refused for want of capacity, all the time.
        """
        data = request(self.target, method, path, token, body, key)
        until = asyncio.get_running_loop().time() + patience
        pause = 0.05
        while True:
            left = until - asyncio.get_running_loop().time()
            answer = await self.fetch(data, max(1.0, left))
            if answer.status not in _RETRY:
                return answer
            left = until - asyncio.get_running_loop().time()
            if left <= 0:
                raise UnansweredError(f"{method} {path}", answer)
            await asyncio.sleep(min(max(pause, answer.retry_after or 0), 2.0, left))
            pause = min(pause * 2, 1.0)

    def close(self) -> None:
        """Close every connection; what is under way is `UNANSWERED`."""
        self._closed = True
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def free(self, connection: _Connection) -> None:
        """Take back a connection that has its answer (called by it)."""
        if self._waiting:
            connection.send(*self._waiting.popleft())
        elif self._closed:
            connection.close()
        else:
            self._idle.append(connection)

    def lost(self, connection: _Connection) -> None:
        """Forget a connection that is closed (called by it)."""
        self._open -= 1
        if connection in self._idle:
            self._idle.remove(connection)
        self._widen()

    def _widen(self) -> None:
        """Open one more connection if somebody waits and there may be one more."""
        opening = len(self._opening)
        if len(self._waiting) > opening and self._open + opening < self._limit:
            task = asyncio.ensure_future(self._connect())
            self._opening.add(task)
            task.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        self._widen()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                lambda: _Connection(self), self.target.host, self.target.port, ssl=self._context
            )
        except OSError as error:
            if self._waiting:
                _, on_answer = self._waiting.popleft()
                on_answer(Answer(UNANSWERED, str(error).encode()))
            return
        self._open += 1
        self.free(connection)


def _settle(answered: asyncio.Future[Answer], answer: Answer) -> None:
    if not answered.done():
        answered.set_result(answer)
