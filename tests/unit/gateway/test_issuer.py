"""An outside issuer that is slow, away or broken: who is known stays known, others hear soon."""

import asyncio
import json
import threading
import time
from contextlib import asynccontextmanager

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from gateway_of_tests import running, until

from gateway import issuer
from gateway.issuer import IssuerAway, IssuerKeys

KEY = ec.generate_private_key(ec.SECP256R1())


def public(kid):
    return jwt.PyJWK(
        jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True) | {"kid": kid}
    )


class Issuer:
    """Keys that can be changed, a clock, and a number of fetches."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.kids = ["k1"]
        self.error: Exception | None = None
        self.hold = threading.Event()
        self.hold.set()
        self.fetches = 0
        self.keys = IssuerKeys(self.fetch, lambda: self.now)

    def fetch(self):
        self.fetches += 1
        assert self.hold.wait(5)
        if self.error is not None:
            raise self.error
        return [public(kid) for kid in self.kids]

    async def kid(self, name):
        key = await self.keys.key(name)
        return key and key.key_id


async def test_keys_are_fetched_when_needed_and_remembered():
    """A known key costs no fetch; one the issuer didn't have is looked for again, but not at once."""
    there = Issuer()
    assert [await there.kid(k) for k in ("k1", "k1", "k2", None)] == ["k1", "k1", None, None]
    assert there.fetches == 1
    there.kids = ["k2"]
    there.now += 31
    assert [await there.kid("k2"), await there.kid("k1")] == ["k2", None]
    assert there.fetches == 2


@pytest.mark.parametrize("error", [ValueError("html"), OSError("reset"), jwt.PyJWKClientError("")])
async def test_an_issuer_that_fails_is_left_alone_for_a_moment(error):
    """Nobody is told that their token is bad, and nobody asks again before the pause is over."""
    there = Issuer()
    there.error = error
    for _ in range(3):
        with pytest.raises(IssuerAway):
            await there.kid("k1")
    assert there.fetches == 1
    there.error = None
    there.now += 6
    assert await there.kid("k1") == "k1"


async def test_known_keys_outlive_the_issuer_for_an_hour():
    """While the issuer is away its known keys count, then they don't."""
    there = Issuer()
    assert await there.kid("k1") == "k1"
    there.error = OSError("away")
    there.now += 301
    assert await there.kid("k1") == "k1"
    await until(lambda: there.fetches == 2)
    with pytest.raises(IssuerAway):
        await there.kid("k2")
    there.now += 3300
    with pytest.raises(IssuerAway):
        await there.kid("k1")


async def test_many_wait_for_one_fetch():
    """A crowd after a start costs one fetch, and one of it that leaves takes nobody along."""
    there = Issuer()
    there.hold.clear()
    crowd = [asyncio.ensure_future(there.kid("k1")) for _ in range(20)]
    await until(lambda: there.fetches == 1)
    crowd[0].cancel()
    there.hold.set()
    assert await asyncio.gather(*crowd[1:]) == ["k1"] * 19
    assert there.fetches == 1


async def test_a_hanging_issuer_holds_nobody_up(monkeypatch):
    """Whoever needs a fetch that has gone on too long is told at once; known keys count on."""
    monkeypatch.setattr(issuer, "_PATIENCE_S", 0.02)
    there = Issuer()
    assert await there.kid("k1") == "k1"
    there.hold.clear()
    there.now += 31
    with pytest.raises(IssuerAway):
        await there.kid("k2")
    there.now += 1
    with pytest.raises(IssuerAway):
        there.keys.key("k2").send(None)  # without waiting at all
    assert await there.kid("k1") == "k1"
    there.hold.set()
    await until(lambda: there.keys._fetching is None)
    assert there.fetches == 2


@asynccontextmanager
async def serving(answer):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"


BODIES = {
    b"500 Oh": b"",
    b"200 OK": b"<html>Please log in</html>",
    b"201 OK": b'{"keys":[]}',
    b"202 OK": b'{"keys":[7]}',
    b"203 OK": b"[" * 100_000,
}


@pytest.mark.parametrize("status", BODIES)
async def test_whatever_the_issuer_answers_its_users_are_told_to_come_again(status):
    """Failures of the issuer are 503 with Retry-After: never 401, which ends a session, or 500."""
    body = BODIES[status]
    head = b"HTTP/1.1 %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (status, len(body))
    claims = {"iss": "me", "aud": "gameshard", "sub": "u1", "exp": int(time.time()) + 60}
    token = jwt.encode(claims, KEY, "ES256", headers={"kid": "k1"})
    async with (
        serving(head + body) as url,
        running(guests=False, issuer="me", issuer_jwks=url) as gateway,
    ):
        headers = {"authorization": f"Bearer {token}"}
        answer = await gateway.http.post("/games", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert answer.headers["retry-after"] == "5"


async def test_the_longest_token_reaches_us_in_a_handshake():
    """A token of the most that is taken fits in a WebSocket's header and subprotocol as well."""
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True) | {"kid": "k1"}
    body = json.dumps({"keys": [jwk]}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
    claims = {"iss": "me", "aud": "gameshard", "sub": "u1", "exp": int(time.time()) + 60}
    claims["roles"] = "x" * 5_800
    token = jwt.encode(claims, KEY, "ES256", headers={"kid": "k1"})
    assert 7_900 < len(token) <= 8_000
    async with (
        serving(head + body) as url,
        running(guests=False, issuer="me", issuer_jwks=url) as gateway,
    ):
        made = await gateway.http.post("/games", headers={"authorization": f"Bearer {token}"})
        assert made.status_code == 201
        for way in (
            {"headers": {"authorization": f"Bearer {token}"}},
            {"subprotocols": ["bearer", token]},
        ):
            async with gateway.ws("/ws", **way) as socket:
                await socket.send('{"type":"ping"}')
                assert "pong" in await socket.recv()
