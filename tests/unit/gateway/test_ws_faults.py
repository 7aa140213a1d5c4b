"""One game's failure, one frame's nonsense, one session's end: each stays its own."""

import asyncio
import time

import pytest
from gateway_of_tests import SECRET, running, said, say, until
from websockets.exceptions import ConnectionClosed

from gateway.resume import ResumeTokens
from runtime.asks import Packed

DEEP = "[" * 12_000


async def closed(socket) -> int:
    """Return the close code that the server gave."""
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionClosed) as caught:  # noqa: PT012  (reads until it ends)
            while True:
                await socket.recv()
    return caught.value.rcvd.code


async def test_a_game_that_cannot_be_shown_costs_only_its_own_subscription():
    """On a socket of many games it's rejected and the others go on; on its own socket it's 1011."""
    async with running() as gateway:
        ann = await gateway.player("Ann")
        good, broken, strange = [await gateway.game(ann) for _ in range(3)]
        packed = gateway.router._packed

        def broken_state(game):
            bad = {broken: Packed("chess", 1, b"no state"), strange: Packed("ludo", 1, b"")}
            return bad.get(game) or packed(game)

        gateway.router._packed = broken_state
        async with gateway.ws("/ws", ann) as socket:
            for number, game in enumerate((broken, strange, good)):
                await say(socket, type="subscribe", game=game, id=f"s{number}")
            for number, game in enumerate((broken, strange)):
                no = await said(socket, "rejected")
                assert (no["id"], no["game"], no["code"]) == (f"s{number}", game, "game_failed")
            assert (await said(socket, "snapshot"))["game"] == good
            assert gateway.app.counts.subscriptions == 1
            await say(socket, type="abort", game=good, id="c1")
            assert (await said(socket, "accepted"))["game"] == good
        for game in (broken, strange):
            async with gateway.ws(f"/ws/games/{game}") as socket:
                assert await closed(socket) == 1011


@pytest.mark.parametrize(
    "frame",
    [
        DEEP,
        '{"type":"move","x":' + DEEP,
        '{"type":"move","game":"GAME","uci":"e2e4","x":' + DEEP,
        '{"x":' + DEEP,
        '{"type":' + DEEP,
    ],
)
async def test_a_deeply_nested_frame_is_a_bad_frame(frame):
    """It's rejected like any other nonsense, and the socket lives."""
    async with running() as gateway:
        ann = await gateway.player("Ann")
        game = await gateway.game(ann)
        async with gateway.ws("/ws", ann) as socket:
            await socket.send(frame.replace("GAME", game))
            assert (await said(socket))["code"] == "invalid_request"
            await say(socket, type="ping", id="p")
            assert (await said(socket))["type"] == "pong"


async def test_a_resumed_session_ends_when_a_bearer_token_is_needed(monkeypatch):
    """After its end it speaks for nobody: on /ws it only watches on, on a game's socket it's 4401."""
    async with running(heartbeat=0.2) as gateway:
        ann = await gateway.player("Ann")
        user = (await gateway.http.post("/games", headers=ann)).json()["creator"]
        game = await gateway.game(ann)
        now = time.time()
        token = ResumeTokens(SECRET).issue(user, game, int(now) + 60)
        async with gateway.ws("/ws") as many, gateway.ws(f"/ws/games/{game}?resume={token}") as one:
            await say(many, type="subscribe", game=game, resume=token)
            for socket in (many, one):
                await said(socket, "snapshot")
            await until(lambda: gateway.router.attended[game] == ([user], 2))
            monkeypatch.setattr("gateway.session.time.time", lambda: now + 61)
            await say(many, type="abort", game=game, id="c1")
            assert (await said(many, "rejected"))["code"] == "unauthenticated"
            assert await closed(one) == 4401
            await until(lambda: gateway.router.attended[game] == ([], 1))
