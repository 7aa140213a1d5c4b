"""The lean HTTP client against real sockets on loopback."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from bench.http import UNANSWERED, Answer, Pool, UnansweredError, request
from bench.target import Target, target

Reply = Callable[[str, dict[str, str], bytes], bytes]


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


@asynccontextmanager
async def serving(reply: Reply) -> AsyncIterator[Target]:
    """Serve requests one after the other on each connection; b"" closes it instead."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.strip().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines)
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                if not (data := reply(first, headers, body)):
                    break
                # Two pieces, so that an answer needs more than one read.
                writer.write(data[:20])
                await asyncio.sleep(0)
                writer.write(data[20:])
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Target("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()


async def test_every_request_gets_its_own_answer() -> None:
    """With fewer connections than requests, each answer reaches the one who asked for it."""
    async with serving(lambda first, _, __: answer(200, first.split()[1].encode())) as server:
        pool = Pool(server, limit=3)
        paths = [f"/{number}" for number in range(60)]
        answers = await asyncio.gather(*(pool.call("GET", path) for path in paths))
        assert [each.body.decode() for each in answers] == paths
        pool.close()


async def test_what_is_sent_is_what_was_asked() -> None:
    """Token, key and body arrive; a POST without a body sends an empty object."""
    seen: list[tuple[str, dict[str, str], bytes]] = []

    def reply(first: str, headers: dict[str, str], body: bytes) -> bytes:
        seen.append((first, headers, body))
        return answer(201)

    async with serving(reply) as server:
        pool = Pool(server)
        await pool.call("POST", "/games", "tok", b'{"a":1}', "key-1")
        await pool.call("POST", "/games/x/join", "tok")
        pool.close()
    assert seen[0][0] == "POST /games HTTP/1.1"
    assert seen[0][1]["authorization"] == "bearer tok"
    assert seen[0][1]["idempotency-key"] == "key-1"
    assert [body for _, _, body in seen] == [b'{"a":1}', b"{}"]


async def test_a_server_that_is_busy_is_asked_again() -> None:
    """503 and 429 are repeated with the same key until there is an answer."""
    replies = [answer(503, Retry_After="0"), b"", answer(429), answer(201, b"ok")]
    keys: list[str] = []

    def reply(_: str, headers: dict[str, str], __: bytes) -> bytes:
        keys.append(headers["idempotency-key"])
        return replies.pop(0)

    async with serving(reply) as server:
        pool = Pool(server)
        got = await pool.call("POST", "/games", key="k")
        pool.close()
    assert (got.status, got.body) == (201, b"ok")
    assert keys == ["k"] * 4


async def test_a_refusal_is_an_answer() -> None:
    """404 or 422 come back at once: asking again would not help."""
    async with serving(lambda *_: answer(422, b"no")) as server:
        pool = Pool(server)
        assert await pool.call("GET", "/") == Answer(422, b"no", None)
        pool.close()


async def test_patience_ends() -> None:
    """A server that stays away raises, with the last thing that was heard of it."""
    async with serving(lambda *_: answer(503, b"away")) as server:
        pool = Pool(server)
        with pytest.raises(UnansweredError) as raised:
            await pool.call("GET", "/", patience=0.1)
        assert raised.value.last.status == 503
        pool.close()


async def test_a_dead_server_answers_all_who_wait() -> None:
    """Without a server every request is told so, also those that wait for a connection."""
    async with serving(lambda *_: b"") as server:
        gone = server
    pool = Pool(gone, limit=2)
    answers = await asyncio.gather(*(pool.fetch(request(gone, "GET", "/"), 5) for _ in range(9)))
    assert {each.status for each in answers} == {UNANSWERED}
    assert not [each for each in answers if b"no answer in" in each.body]
    pool.close()


async def test_an_answer_is_given_once() -> None:
    """A connection that breaks after its answer does not answer a second time."""
    answers: list[Answer] = []
    async with serving(lambda *_: answer(200, Connection="close")) as server:
        pool = Pool(server)
        pool.send(request(server, "GET", "/"), answers.append)
        await pool.call("GET", "/")
        await pool.call("GET", "/")
        pool.close()
    assert [each.status for each in answers] == [200]


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://"])
def test_an_odd_url_is_refused(url: str) -> None:
    """Only http and https URLs with a host name a server."""
    with pytest.raises(ValueError, match="URL"):
        target(url)


def test_a_url_names_its_sockets_too() -> None:
    """The WebSocket's URL follows from the server's, with TLS and prefix."""
    assert target("https://chess.example/api/").websocket == "wss://chess.example:443/api/ws"
    assert target("http://127.0.0.1:8000").websocket == "ws://127.0.0.1:8000/ws"
