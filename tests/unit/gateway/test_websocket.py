"""The WebSocket with the client that many use: conversations, resumption, refusals, limits."""

import asyncio
import json
from contextlib import AsyncExitStack

import jsonschema
import pytest
from gateway_of_tests import running, said, say, until
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode


async def closed(socket) -> int:
    """Return the close code that the server gave."""
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionClosed) as caught:  # noqa: PT012  (reads until it ends)
            while True:
                await socket.recv()
    return caught.value.rcvd.code


async def test_both_players_and_a_watcher_get_the_same_bytes():
    """An event is the log's JSON on every socket; the mover's id is accepted just before it."""
    async with running() as gateway, AsyncExitStack() as stack:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        game = await gateway.game(ann, bob)
        path = f"/ws/games/{game}"
        sockets = [
            await stack.enter_async_context(gateway.ws(path, who)) for who in (ann, bob, None)
        ]
        for socket in sockets:
            snapshot = await said(socket, "snapshot")
            assert (snapshot["game"], snapshot["seq"]) == (game, 2)
            assert snapshot["state"]["white"]["name"] == "Ann"
        await say(sockets[0], type="move", id="c1", uci="e2e4", ply=0)
        assert await said(sockets[0]) == {"type": "accepted", "id": "c1", "game": game, "seq": 3}
        for socket in sockets:
            async with asyncio.timeout(5):
                while (text := await socket.recv())[9:17] == "presence":
                    pass
            assert text.encode() == gateway.router.games[game].log[2]


async def test_a_browser_shows_its_token_as_a_subprotocol():
    """The answer names `bearer` and never the token."""
    async with running() as gateway:
        ann = await gateway.player("Ann")
        game = await gateway.game(ann)
        token = ann["authorization"].split()[1]
        async with gateway.ws(f"/ws/games/{game}", subprotocols=["bearer", token]) as socket:
            assert socket.subprotocol == "bearer"
            assert (await said(socket, "snapshot"))["resume"]
            await say(socket, type="abort", id="c1")
            assert (await said(socket))["type"] == "accepted"


async def test_a_client_resumes_with_just_what_it_missed():
    """`after` gives the missed events in order, each once, and then whatever happens."""
    async with running() as gateway:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        game = await gateway.game(ann, bob)
        moves = f"/games/{game}/moves"
        await gateway.http.post(moves, json={"uci": "e2e4"}, headers=ann)
        async with gateway.ws(f"/ws/games/{game}?after=1") as socket:
            resumed = await said(socket)
            assert (resumed["type"], resumed["seq"], resumed["resume"]) == ("resumed", 3, None)
            await gateway.http.post(moves, json={"uci": "e7e5"}, headers=bob)
            assert [(await said(socket))["seq"] for _ in range(3)] == [2, 3, 4]


async def test_events_that_come_while_a_beginning_is_prepared_wait_behind_it():
    """A slow answer to the subscription neither loses, repeats nor reorders events."""
    async with running() as gateway:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        game = await gateway.game(ann, bob)
        names = asyncio.Event()
        load = gateway.names.load

        async def slow(players):
            await names.wait()
            return await load(players)

        gateway.names.load = slow
        gateway.app._book._known._entries.clear()
        async with gateway.ws(f"/ws/games/{game}") as socket:
            await until(lambda: gateway.router.attended.get(game) == ([], 1))
            for who, uci in ((ann, "e2e4"), (bob, "e7e5")):
                await gateway.http.post(f"/games/{game}/moves", json={"uci": uci}, headers=who)
            names.set()
            assert [(await said(socket)).get("seq") for _ in range(3)] == [2, 3, 4]


async def test_the_presence_of_a_socket_whose_names_are_loaded_comes_behind_its_beginning():
    """Whoever comes to a quiet game hears who's there, however long its snapshot took."""
    async with running() as gateway:
        game = await gateway.game(await gateway.player("Ann"))
        names, load = asyncio.Event(), gateway.names.load

        async def slow(players):
            await names.wait()
            return await load(players)

        gateway.names.load = slow
        gateway.app._book._known._entries.clear()
        async with gateway.ws(f"/ws/games/{game}") as socket:
            await until(lambda: gateway.router.attended.get(game) == ([], 1))
            await asyncio.sleep(0)  # the router tells of it in the next turn
            names.set()
            kinds = [json.loads(await asyncio.wait_for(socket.recv(), 5))["type"] for _ in "12"]
            assert kinds == ["snapshot", "presence"]


async def test_a_resume_token_stands_for_its_player():
    """In the query or a frame it lets its player move, in its own game only, and isn't echoed."""
    async with running() as gateway:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        game, other = await gateway.game(ann, bob), await gateway.game(ann, bob)
        async with gateway.ws(f"/ws/games/{game}", ann) as socket:
            token = (await said(socket, "snapshot"))["resume"]
        async with gateway.ws(f"/ws/games/{game}?after=2&resume={token}") as socket:
            renewed = (await said(socket, "resumed"))["resume"]
            assert renewed
            await say(socket, type="move", id="c1", uci="e2e4")
            assert (await said(socket))["type"] == "accepted"
        async with gateway.ws("/ws") as socket:
            await say(socket, type="resume", game=game, resume=renewed)
            await say(socket, type="subscribe", game=game, resume=token)
            assert (await said(socket, "snapshot"))["resume"]
            await say(socket, type="resign", game=game, id="c2")
            assert (await said(socket))["type"] == "accepted"
            await say(socket, type="resign", game=other, id="c3")
            assert (await said(socket, "rejected"))["code"] == "unauthenticated"
            await say(socket, type="resume", game=other, resume=token, id="c4")
            assert (await said(socket))["code"] == "unauthenticated"
        async with gateway.ws(f"/ws/games/{other}?resume={token}") as socket:
            assert await closed(socket) == 4401


async def test_one_socket_follows_many_games():
    """Frames name their game; a game left says nothing more; commands need no subscription."""
    async with running(subscriptions=2) as gateway:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        games = [await gateway.game(ann, bob) for _ in range(3)]
        async with gateway.ws("/ws", ann) as socket:
            for game in games[:2]:
                await say(socket, type="subscribe", game=game)
                assert (await said(socket, "snapshot"))["game"] == game
            await say(socket, type="subscribe", game=games[2], id="s")
            refused = await said(socket)
            assert (refused["code"], refused["id"]) == ("too_many_subscriptions", "s")
            await say(socket, type="unsubscribe", game=games[0], id="u")
            assert await said(socket) == {"type": "unsubscribed", "game": games[0], "id": "u"}
            await until(lambda: games[0] not in gateway.router.listeners)
            await say(socket, type="move", game=games[1], uci="e2e4", id="a")
            await say(socket, type="move", game=games[2], uci="d2d4", id="b")
            seen = [await said(socket) for _ in range(4)]
            assert [f["type"] for f in seen] == ["accepted", "MovePlayed"] * 2
            assert [f["game"] for f in seen] == [games[1], games[1], games[2], games[2]]


async def test_a_repeat_is_accepted_again_and_told_to_nobody_twice():
    """The same id acts once; every time it's answered with the same seq."""
    async with running() as gateway:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        game = await gateway.game(ann, bob)
        async with gateway.ws(f"/ws/games/{game}", ann) as socket:
            await said(socket, "snapshot")
            for _ in range(2):
                await say(socket, type="move", id="c1", uci="e2e4", ply=0)
            await say(socket, type="ping", id="p")
            types = [await said(socket) for _ in range(4)]
            # The pong overtakes: it waits for no game.
            kinds = sorted(f["type"] for f in types)
            assert kinds == ["MovePlayed", "accepted", "accepted", "pong"]
            assert {f["seq"] for f in types if f["type"] == "accepted"} == {3}


BAD_FRAMES = [
    ("{", "invalid_request"),
    ("[]", "invalid_request"),
    ('{"id":"x"}', "invalid_request"),
    ('{"type":7}', "invalid_request"),
    ('{"type":"move","id":7,"uci":"e2e4"}', "invalid_request"),
    ('{"type":"move","uci":"e2e4","speed":1}', "invalid_request"),
    ('{"type":"move","id":"","uci":"e2e4"}', "invalid_request"),
    ('{"type":"move","id":"' + "x" * 129 + '","uci":"e2e4"}', "invalid_request"),
    ('{"type":"move","game":"another","uci":"e2e4"}', "invalid_request"),
    ('{"type":"subscribe"}', "invalid_request"),
    ('{"type":"unsubscribe"}', "invalid_request"),
    ('{"type":"ping","at":1}', "invalid_request"),
    ('{"type":"resume","resume":7}', "invalid_request"),
    ('{"type":"resume","resume":"x"}', "unauthenticated"),
    ('{"type":"create"}', "unknown_command"),
    ('{"type":"dance"}', "unknown_command"),
    ('{"type":"take","count":1}', "unknown_command"),
    ('{"type":"move","uci":"e2e5"}', "illegal_move"),
    ('{"type":"draw","accept":true,"offer":99}', "no_such_offer"),
]


async def test_every_bad_frame_is_rejected_and_the_socket_lives():
    """Each row is answered with its code; who goes on like that is closed 4429."""
    async with running(frame_burst=400) as gateway:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        game = await gateway.game(ann, bob)
        async with gateway.ws(f"/ws/games/{game}", ann) as socket:
            await said(socket, "snapshot")
            for text, code in BAD_FRAMES:
                await socket.send(text)
                answer = await said(socket)
                assert (answer["type"], answer["code"]) == ("rejected", code), text
            assert len(gateway.router.games[game].log) == 2
            for _ in range(100):
                await socket.send("{")
            assert await closed(socket) == 4429


async def test_strangers_watch_but_do_not_play():
    """Without a token a command is rejected unauthenticated; with a stranger's by the game."""
    async with running() as gateway:
        ann, bob, eve = [await gateway.player(n) for n in ("Ann", "Bob", "Eve")]
        game = await gateway.game(ann, bob)
        for who, code in ((None, "unauthenticated"), (eve, "not_a_player")):
            async with gateway.ws(f"/ws/games/{game}", who) as socket:
                await said(socket, "snapshot")
                await say(socket, type="move", id="c1", uci="e2e4")
                answer = await said(socket)
                assert (answer["id"], answer["code"]) == ("c1", code)


async def test_a_refused_handshake_is_told_by_its_close_code():
    """Wrong tokens 4401, unknown games and paths 4404, wrong queries 1008, nobody there 1013."""
    async with running() as gateway:
        ann = await gateway.player("Ann")
        game = await gateway.game(ann)
        for path, headers, code in (
            (f"/ws/games/{game}", {"authorization": "Bearer nonsense"}, 4401),
            ("/ws", {"authorization": "Basic YTpi"}, 4401),
            ("/ws/games/nosuchgame", None, 4404),
            ("/ws/games/no%20such", None, 4404),
            ("/ws/other", None, 4404),
            (f"/ws/games/{game}?after=x", None, 1008),
            (f"/ws/games/{game}?after=-1", None, 1008),
            (f"/ws/games/{game}?resume=x", None, 4401),
        ):
            async with gateway.ws(path, headers) as socket:
                assert await closed(socket) == code, path
        gateway.router.away = True
        async with gateway.ws(f"/ws/games/{game}") as socket:
            assert await closed(socket) == 1013
        async with gateway.ws("/ws") as socket:
            await say(socket, type="subscribe", game=game, id="s")
            assert (await said(socket))["code"] == "unavailable"
        assert not gateway.router.listeners
        await until(lambda: not gateway.app.counts.sockets)
        assert not gateway.app._hall.sessions


async def test_what_is_no_text_message_closes_with_the_code_for_it():
    """Binary 1003, bad UTF-8 1007, too large 1009, nonsense 1002."""
    async with running() as gateway:
        for data, code in ((b"\x00", 1003), ("x" * 16_385, 1009)):
            async with gateway.ws("/ws") as socket:
                await socket.send(data)
                assert await closed(socket) == code
        for opcode, payload, code in ((Opcode.TEXT, b'"\xff"', 1007), (Opcode.CONT, b"x", 1002)):
            async with gateway.ws("/ws") as socket:
                socket.protocol.expect_continuation_frame = opcode is Opcode.CONT
                if opcode is Opcode.CONT:
                    socket.protocol.send_continuation(payload, fin=True)
                else:
                    socket.protocol.send_text(payload)
                socket.send_data()
                assert await closed(socket) == code


async def test_fragments_and_pings_are_understood():
    """A message in fragments is one message, with a ping between them answered first."""
    async with running() as gateway, gateway.ws("/ws") as socket:

        async def fragments():
            for part in ('{"type":', '"pi', 'ng","id":"\u00e9"}'):
                await (await socket.ping())
                yield part

        await socket.send(fragments())
        assert (await said(socket, "pong"))["id"] == "\u00e9"


async def test_presence_follows_who_comes_and_goes():
    """Users count once each, sockets each; the last to leave ends the watch."""
    async with running() as gateway, AsyncExitStack() as stack:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        game = await gateway.game(ann, bob)
        view = (await gateway.http.get(f"/games/{game}")).json()
        ids = sorted(view[color]["id"] for color in ("white", "black") if view[color])
        sockets = [
            await stack.enter_async_context(gateway.ws(f"/ws/games/{game}", who))
            for who in (ann, ann, bob, None)
        ]
        await until(lambda: gateway.router.attended.get(game) == (ids, 4))
        assert (await said(sockets[3], "presence"))["watchers"] in (1, 2, 3, 4)
        for socket in sockets[1:]:
            await socket.close()
        await until(lambda: gateway.router.attended.get(game)[1] == 1)
        await sockets[0].close()
        await until(lambda: game not in gateway.router.listeners)
        assert gateway.router.attended[game] == ([], 0)


async def test_the_round_trip_is_measured_for_the_mover():
    """A command carries the least round trip of the last pings, in ms, never the client's word."""
    async with running(heartbeat=0.128) as gateway:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        game = await gateway.game(ann, bob)
        async with gateway.ws(f"/ws/games/{game}", ann) as socket:
            await said(socket, "snapshot")
            (session,) = gateway.app._hall.sessions
            await until(lambda: len(session.socket._round_trips) == 4)
            await say(socket, type="move", id="c1", uci="e2e4")
            await said(socket, "accepted")
            assert gateway.router.asked[-1].round_trip_ms == session.socket.round_trip_ms > 0


async def test_a_planned_stop_says_when_to_come_back():
    """Every socket gets `reconnect` and then close code 1012; the server ends in bounded time."""
    async with running(reconnect_ms=1000) as gateway, AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(gateway.ws("/ws")) for _ in range(3)]
        for socket in sockets:  # let in, not only connected
            await say(socket, type="ping")
            await said(socket, "pong")
        stopping = asyncio.create_task(gateway.server.stop())
        for socket in sockets:
            assert 100 <= (await said(socket, "reconnect"))["after_ms"] <= 1000
            assert await closed(socket) == 1012
        async with asyncio.timeout(10):
            await stopping
        gateway.server.stop = _nothing


async def test_before_a_restart_clients_go_elsewhere_while_they_are_still_served():
    """A drained gateway takes no connection, but serves those it has until they go as it asked."""
    async with running(reconnect_ms=60_000) as gateway, gateway.ws("/ws") as socket:
        await say(socket, type="ping")
        await said(socket, "pong")
        draining = asyncio.create_task(gateway.server.drain())
        assert 6_000 <= (await said(socket, "reconnect"))["after_ms"] <= 60_000
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", gateway.port)
        await say(socket, type="ping")
        await said(socket, "pong")
        assert not draining.done()
        await socket.close()
        async with asyncio.timeout(10):
            await draining


async def test_some_clients_are_asked_to_connect_anew():
    """As many as were named, if there are so many, and the gateway goes on taking connections."""
    async with running() as gateway, AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(gateway.ws("/ws")) for _ in range(3)]
        for socket in sockets:
            await say(socket, type="ping")
            await said(socket, "pong")
        gateway.server.disperse(2)
        types: list[str] = []
        for socket in sockets:
            await say(socket, type="ping")
            types.append((await said(socket))["type"])
        assert sorted(types) == ["pong", "reconnect", "reconnect"]
        async with gateway.ws("/ws") as another:
            await say(another, type="ping")
            await said(another, "pong")


async def _nothing() -> None:
    pass


async def test_a_token_that_expires_ends_its_socket(monkeypatch):
    """A socket doesn't outlive its token by more than a heartbeat."""
    async with running(heartbeat=0.128) as gateway:
        ann = await gateway.player("Ann")
        async with gateway.ws("/ws", ann) as socket:
            await say(socket, type="ping")
            await said(socket, "pong")
            (session,) = gateway.app._hall.sessions
            session._expires = 1.0
            assert await closed(socket) == 4401


async def test_frames_are_json_of_the_published_shapes():
    """Every server frame of a conversation validates against the AsyncAPI document."""
    async with running() as gateway:
        document = (await gateway.http.get("/asyncapi.json")).json()
        schemas = [
            m["payload"] for n, m in document["components"]["messages"].items() if n[0] == "s"
        ]
        any_of = {"anyOf": schemas, "components": document["components"]}
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        game = await gateway.game(ann, bob)
        async with gateway.ws(f"/ws/games/{game}", ann) as socket:
            await say(socket, type="move", id="c1", uci="e2e4")
            await say(socket, type="move", id="c2", uci="e2e4")
            await say(socket, type="ping")
            seen = set()
            async with asyncio.timeout(5):
                while not seen >= {"snapshot", "accepted", "rejected", "pong", "presence"}:
                    frame = json.loads(await socket.recv())
                    jsonschema.validate(frame, any_of)
                    seen.add(frame["type"])
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate({"type": "rejected", "code": 7}, any_of)
