"""Handshakes that are odd, unreadable, or can't be judged: each gets an answer."""

import asyncio
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from gateway_of_tests import running, said, say
from websockets.exceptions import ConnectionClosed

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"x-long: " + b"x" * 9_000 + b"\r\n", b"431"),
        (b"".join(b"x-%d: y\r\n" % n for n in range(140)), b"431"),
        (b"x-odd: a\xffb\x01\r\n", b"400"),
    ],
)
async def test_a_handshake_that_cannot_be_read_is_refused_and_closed(headers, status):
    """Whatever websockets won't read is answered with a status and the end of the connection."""
    async with running() as gateway, asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(UPGRADE + headers + b"\r\n")
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 " + status), answer
        writer.close()


@pytest.mark.parametrize("before", [[], ["chat"], ["chat", "v2"]])
async def test_the_token_stands_behind_bearer_wherever_that_stands(before):
    """Who is answered `bearer` is known by the token they showed."""
    async with running() as gateway:
        ann = await gateway.player("Ann")
        game = await gateway.game(ann)
        token = ann["authorization"].split()[1]
        protocols = [*before, "bearer", token]
        async with gateway.ws(f"/ws/games/{game}", subprotocols=protocols) as socket:
            assert socket.subprotocol == "bearer"
            await said(socket, "snapshot")
            await say(socket, type="abort", id="c1")
            assert (await said(socket))["type"] == "accepted"


@pytest.mark.parametrize("protocols", [["bearer"], ["bearer", "nonsense"], ["x", "bearer"]])
async def test_bearer_without_a_good_token_is_nobody(protocols):
    """Nobody is answered `bearer` and then treated as somebody unknown."""
    async with running() as gateway:
        async with gateway.ws("/ws", subprotocols=protocols) as socket:
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), 5)
        assert closed.value.rcvd.code == 4401


async def test_an_issuer_that_is_away_is_1013():
    """A token that can't be checked now isn't called bad: the socket says to come again."""
    key = ec.generate_private_key(ec.SECP256R1())
    claims = {"iss": "me", "aud": "gameshard", "sub": "u1", "exp": int(time.time()) + 60}
    token = jwt.encode(claims, key, "ES256", headers={"kid": "k1"})
    async with running(issuer="me", issuer_jwks="http://127.0.0.1:1/keys") as gateway:
        async with gateway.ws("/ws", {"authorization": f"Bearer {token}"}) as socket:
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), 5)
        assert closed.value.rcvd.code == 1013
