"""Requests that never come whole: nothing of them is done."""

import asyncio

import pytest
from gateway_of_tests import running, until

from gateway import http, punctual


async def cut(gateway, path, headers, length, part=b"") -> None:
    """Send a request's head and the beginning of its body, and hang up."""
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    token = headers["authorization"]
    writer.write(
        b"POST %b HTTP/1.1\r\nhost: x\r\nauthorization: %b\r\ncontent-length: %d\r\n\r\n%b"
        % (path.encode(), token.encode(), length, part)
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()


@pytest.fixture
def judged(monkeypatch):
    """Every body that was waited for, and how that ended."""
    ends = []

    async def read_body(scope, receive, limit):
        try:
            body = await http.read_body(scope, receive, limit)
        except BaseException as error:
            ends.append(type(error).__name__)
            raise
        ends.append(body)
        return body

    for module in ("http_games", "pages"):
        monkeypatch.setattr(f"gateway.{module}.read_body", read_body)
    return ends


@pytest.mark.parametrize("part", [b"", b"{}", b'{"accept":f'])
async def test_a_request_cut_off_before_the_end_of_its_body_does_nothing(part, judged):
    """Half an answer to an offer is none, half a creation makes no game, half a name no token."""
    async with running() as gateway:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        game = await gateway.game(ann, bob)
        await gateway.http.post(f"/games/{game}/moves", json={"uci": "e2e4"}, headers=ann)
        offered = await gateway.http.post(f"/games/{game}/draw", headers=ann)
        assert offered.status_code == 200, offered.text
        asked = len(gateway.router.asked)
        judged.clear()
        await cut(gateway, f"/games/{game}/draw", bob, 16, part)
        await cut(gateway, "/games", bob, 16, part)
        await cut(gateway, "/tokens", bob, 16, part)
        await until(lambda: len(judged) == 3)
        assert judged == ["Gone"] * 3
        assert len(gateway.router.asked) == asked
        assert len(gateway.router.games) == 1


@pytest.mark.parametrize("path", ["/games", "/tokens"])
async def test_a_body_that_does_not_come_is_408(path, monkeypatch, judged):
    """Whoever stops in the midst of a body is told so, and hung up on."""
    monkeypatch.setattr(punctual, "REQUEST_S", 0.05)
    async with running() as gateway:
        ann = await gateway.player("Ann")
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        token = ann["authorization"].encode()
        writer.write(
            b"POST %b HTTP/1.1\r\nhost: x\r\nauthorization: %b\r\ncontent-length: 9\r\n\r\n{"
            % (path.encode(), token)
        )
        async with asyncio.timeout(5):
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"too_slow"' in answer
        await until(lambda: judged[-1:] == ["Gone"])
        assert not gateway.router.games
        writer.close()
