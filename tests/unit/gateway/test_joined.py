"""What goes out together: the head and body of a response, an acknowledgement and its event."""

import asyncio

from gateway_of_tests import running, said, say

from gateway.joined import JoinedTransport


class Real:
    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


async def test_a_head_waits_for_its_body_and_never_longer_than_its_turn():
    """Head and body are one write; a head alone is sent when the turn ends, or at the close."""
    real = Real()
    joined = JoinedTransport(real, asyncio.get_running_loop())
    joined.write(b"HTTP/1.1 200 OK\r\n\r\n")
    joined.write(b"body")
    joined.write(b"more")
    assert real.sent == [b"HTTP/1.1 200 OK\r\n\r\nbody", b"more"]
    joined.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert real.sent[2:] == [b"HTTP/1.1 100 Continue\r\n\r\n"]
    joined.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert len(real.sent) == 3
    await asyncio.sleep(0)
    assert len(real.sent) == 4
    joined.write(b"HTTP/1.1 304 Not Modified\r\n\r\n")
    joined.close()
    assert (len(real.sent), real.closed) == (5, True)


async def test_requests_in_one_segment_are_answered_in_order():
    """Pipelined requests, and a client that waits for 100 Continue, get whole responses."""
    async with running() as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        get = b"GET /games/nosuchgame/%s HTTP/1.1\r\nhost: x\r\n\r\n"
        writer.write(get % b"one" + get % b"two" + get % b"three")
        for name in (b"one", b"two", b"three"):
            async with asyncio.timeout(5):
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                assert name in await reader.readexactly(length)
        body = b'{"name":"Ann"}'
        head = b"POST /tokens HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n"
        writer.write(head % len(body))
        async with asyncio.timeout(5):
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(body)
            assert (await reader.readline()).startswith(b"HTTP/1.1 201")
        writer.close()


async def test_an_acknowledgement_and_its_event_are_one_write():
    """The mover's `accepted` costs no system call of its own, and comes first."""
    async with running() as gateway:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        game = await gateway.game(ann, bob)
        async with gateway.ws(f"/ws/games/{game}", ann) as socket:
            await said(socket, "snapshot")
            (session,) = gateway.app._hall.sessions
            written, write = [], session.socket._write
            session.socket._write = lambda data: (written.append(data), write(data))
            await say(socket, type="move", id="c1", uci="e2e4")
            await said(socket, "MovePlayed")
            (both,) = [data for data in written if b"MovePlayed" in data]
            assert both.index(b'"accepted"') < both.index(b"MovePlayed")
