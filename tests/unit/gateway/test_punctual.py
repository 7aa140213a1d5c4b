"""Connections on which a request doesn't come whole are closed; all others live on."""

import asyncio

import pytest
from gateway_of_tests import running, until

from gateway import punctual


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(punctual, "REQUEST_S", 0.05)


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b""),
        (b"\r\n\r\n", b""),
        (b"GET /healthz HT", b"HTTP/1.1 408 "),
        (b"GET /healthz HTTP/1.1\r\nhost: x\r\n", b"HTTP/1.1 408 "),
        (b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET", b"HTTP/1.1 200 "),
    ],
)
async def test_who_stops_before_the_end_of_a_head_is_hung_up_on(sent, answer, soon):
    """At the beginning, amid a head, or amid one behind a request."""
    async with running() as gateway, asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(sent)
        heard = await reader.read()
        assert heard.startswith(answer) if answer else heard == b""
        writer.close()


async def test_no_answer_overtakes_another(soon):
    """Half a body behind a request that waits for its answer isn't answered before it."""
    async with running() as gateway, asyncio.timeout(5):
        game = await gateway.game(await gateway.player("Ann"))
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        path = f"/games/{game}/events?after=1&wait=0.2".encode()
        writer.write(b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n" % path)
        writer.write(b"POST /tokens HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{")
        heard = await reader.read()
        assert heard.startswith(b"HTTP/1.1 200 ")
        assert b"HTTP/1.1 408 " in heard
        writer.close()


@pytest.mark.parametrize(
    ("method", "length", "more"),
    [(b"GET", 0, b"\r\n"), (b"GET", 0, b"GET /heal"), (b"POST", 9, b"x")],
)
async def test_bytes_behind_an_answer_hold_no_connection(method, length, more, soon):
    """Empty lines, half a request or the rest of an unwanted body: a whole head must follow."""
    async with running() as gateway, asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        head = b"%b /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
        writer.write(head % (method, length))
        await reader.readuntil(b"}")
        writer.write(more)
        assert (await reader.read())[:13] in (b"", b"HTTP/1.1 408 ")
        writer.close()


async def test_dripping_does_not_help(soon):
    """A byte now and then doesn't keep a head from being too late."""
    async with running() as gateway, asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        heard = asyncio.ensure_future(reader.read())
        writer.write(b"GET /healthz HTTP/1.1\r\nx: ")
        while not heard.done():
            writer.write(b"x")
            await asyncio.sleep(0.005)
        assert (await heard).startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_whoever_waits_for_us_is_left_in_peace(monkeypatch):
    """A long poll and a WebSocket outlive the time for heads, and so does half a next request."""
    expired = []
    real = punctual.PunctualProtocol._missing

    def missing(self):
        expired.append(self)
        real(self)

    monkeypatch.setattr(punctual.PunctualProtocol, "_missing", missing)
    monkeypatch.setattr(punctual, "REQUEST_S", 0.02)
    async with running() as gateway, asyncio.timeout(10):
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        game = await gateway.game(ann)
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        path = f"/games/{game}/events?after=1&wait=30".encode()
        writer.write(b"GET %b HTTP/1.1\r\nhost: x\r\n\r\nGET /heal" % path)
        async with gateway.ws(f"/ws/games/{game}"):
            await until(lambda: len(expired) > 5)
            assert gateway.app.counts.sockets == gateway.app.counts.polls == 1
            await gateway.http.post(f"/games/{game}/join", headers=bob)
            assert b'"type":"PlayerJoined"' in await reader.readuntil(b"]}")
            writer.write(b"thz HTTP/1.1\r\nhost: x\r\n\r\n")
            assert b"200 OK" in await reader.readuntil(b"ok")
        writer.close()
