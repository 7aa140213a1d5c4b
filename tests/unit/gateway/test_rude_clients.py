"""Clients that stall, flood, vanish or come in crowds: they harm themselves only."""

import asyncio
import json
import socket as sockets
from contextlib import AsyncExitStack

import pytest
from gateway_of_tests import running, said, say, until
from test_frames import masked
from websockets.exceptions import InvalidStatus

from gateway.metrics import Counts
from gateway.settings import GatewaySettings
from gateway.topics import Subscriber, Topics
from runtime.asks import Packed

NOISE = b'{"type":"x","seq":%d,"pad":"' + b"x" * 60_000 + b'"}'


async def raw(gateway, path: str, headers: dict[str, str], **options):
    """Return a bare socket after the handshake; nothing is read of it unless the test does."""
    sock = sockets.socket()
    for option, value in options.items():
        sock.setsockopt(sockets.SOL_SOCKET, getattr(sockets, option), value)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", gateway.port))
    lines = [f"GET {path} HTTP/1.1", "host: x", "connection: upgrade", "upgrade: websocket"]
    lines += ["sec-websocket-version: 13", "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="]
    lines += [f"{k}: {v}" for k, v in headers.items()]
    await loop.sock_sendall(sock, "\r\n".join([*lines, "", ""]).encode())
    assert b" 101 " in await loop.sock_recv(sock, 1024)
    return sock


async def test_a_client_that_reads_nothing_is_dropped_and_others_get_everything():
    """Beyond its room a socket is closed as slow; the one beside it misses nothing."""
    async with running(write_buffer=256 * 1024) as gateway:
        ann = await gateway.player("Ann")
        game = await gateway.game(ann)
        stalled = await raw(gateway, f"/ws/games/{game}", {}, SO_RCVBUF=4096)
        async with gateway.ws(f"/ws/games/{game}", max_size=None) as healthy:
            await said(healthy, "snapshot")
            await until(lambda: gateway.app.counts.subscriptions == 2)
            topic = gateway.router.listeners[game]
            for seq in range(2, 202):
                topic.on_event(seq, NOISE % seq)
                assert (await said(healthy, "x"))["seq"] == seq
            await until(lambda: gateway.app.counts.sockets == 1)
            assert gateway.app.counts.closes == {"slow": 1}
            assert gateway.app.counts.subscriptions == 1
        stalled.close()


async def test_a_history_larger_than_the_room_is_sent_whole():
    """A long beginning isn't held against its reader."""
    async with running(write_buffer=16 * 1024) as gateway:
        ann = await gateway.player("Ann")
        game = await gateway.game(ann)
        log = gateway.router.games[game].log
        log += [NOISE % seq for seq in range(2, 12)]
        async with gateway.ws(f"/ws/games/{game}?after=0", max_size=None) as socket:
            assert (await said(socket, "resumed"))["seq"] == 11
            assert [(await said(socket))["seq"] for _ in range(11)] == list(range(1, 12))


async def test_who_asks_for_much_is_read_later_and_nothing_of_it_is_lost():
    """Beyond what there is to spare a socket waits its turn; all is answered in order, and none is closed."""
    settings = {"frame_rate": 1.0, "frame_burst": 1, "spare_rate": 1.0, "create_burst": 200}
    async with running(**settings) as gateway, AsyncExitStack() as stack:
        ann = await gateway.player("Ann")
        games = [await gateway.game(ann) for _ in range(60)]
        eager = await stack.enter_async_context(gateway.ws("/ws", ann))
        other = await stack.enter_async_context(gateway.ws("/ws"))
        for game in games:
            await say(eager, type="subscribe", game=game)
        await say(other, type="ping", id="other")
        assert (await said(other))["id"] == "other"
        assert [(await said(eager, "snapshot"))["game"] for _ in games] == games
        assert gateway.app.counts.throttled > 0
        assert not gateway.app.counts.closes


async def test_a_program_that_comes_back_follows_hundreds_of_games_at_once():
    """At the defaults as many subscriptions as a socket may have are opened in one go."""
    async with running(create_burst=1_000) as gateway:
        ann = await gateway.player("Ann")
        games = [await gateway.game(ann) for _ in range(GatewaySettings().subscriptions)]
        async with gateway.ws("/ws", ann) as socket:
            for game in games:
                await say(socket, type="subscribe", game=game)
            assert [(await said(socket, "snapshot"))["game"] for _ in games] == games
            assert not gateway.app.counts.closes


async def test_two_dozen_slips_are_each_told():
    """A program that is wrong 24 times in a row hears so 24 times and goes on; 27 are a flood."""
    async with running() as gateway:
        async with gateway.ws("/ws") as socket:
            for _ in range(24):
                await socket.send("{")
                assert (await said(socket, "rejected"))["code"] == "invalid_request"
            await say(socket, type="ping", id="1")
            assert (await said(socket))["id"] == "1"
        flooding = await raw(gateway, "/ws", {})
        await asyncio.get_running_loop().sock_sendall(flooding, masked(0x81, b"{") * 500)
        await until(lambda: gateway.app.counts.closes["too fast"] == 1)
        assert gateway.app.counts.rejections["invalid_request"] == 24 + 27
        flooding.close()


async def test_what_the_gateway_repeats_is_held_against_nobody():
    """A command that the router had to send twice costs what it does otherwise, and is told alike."""
    async with running(spare_rate=0.001) as gateway:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        game = await gateway.game(ann, bob)
        async with gateway.ws("/ws", ann) as socket:
            await say(socket, type="move", game=game, uci="e2e4", ply=0)
            first = await said(socket, "MovePlayed")
            gateway.router.resent = True
            for _ in range(100):
                await say(socket, type="move", game=game, uci="e2e4", ply=0)
                assert await said(socket) == first
            assert gateway.app.counts.throttled == 0


async def test_a_program_that_plays_fast_is_never_held_up():
    """Accepted commands pay for themselves: hundreds in a row need no waiting."""
    async with running(spare_rate=0.001) as gateway:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        games = [await gateway.game(ann, bob) for _ in range(20)]
        moves = ("e2e4", "e7e5", "g1f3", "b8c6", "f1b5", "a7a6", "b5a4", "g8f6", "e1g1", "f8e7")
        async with gateway.ws("/ws", ann) as white, gateway.ws("/ws", bob) as black:
            for game in games:
                for ply, uci in enumerate(moves):
                    mover = black if ply & 1 else white
                    await say(mover, type="move", game=game, id=f"{game}{ply}", uci=uci)
                    await said(mover, "accepted")
        assert gateway.app.counts.throttled == 0


@pytest.mark.parametrize(
    "frame",
    [
        masked(0x89, b"p"),
        masked(0x81, b'{"type":"ping"}'),
        masked(0x81, b"{"),
        masked(0x81, b'{"type":"move","uci":"e2e5"}'),
        masked(0x81, b'{"type":"move","uci":"e2e4","ply":0}'),
        masked(0x81, b'{"type":"subscribe","game":"GAME"}'),
    ],
    ids=["control frames", "pings", "no JSON", "refused", "repeats", "the same again"],
)
async def test_a_flood_is_closed_and_may_not_come_back_at_once(frame):
    """Who goes on with what is worth nothing is closed 4429, and the next handshake is refused 429."""
    async with running() as gateway:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        game = await gateway.game(ann, bob)
        pinned = b"subscribe" not in frame
        flood = (
            frame if pinned else masked(0x81, b'{"type":"subscribe","game":"%s"}' % game.encode())
        )
        flooding = await raw(gateway, f"/ws/games/{game}" if pinned else "/ws", ann)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(flooding, flood * 500)
        got = b""
        async with asyncio.timeout(5):
            while b"\x88\x0a" + (4429).to_bytes(2, "big") + b"too fast" not in got:
                got += await loop.sock_recv(flooding, 65_536)
        assert gateway.app.counts.closes == {"too fast": 1}
        flooding.close()
        with pytest.raises(InvalidStatus) as refused:
            async with gateway.ws("/ws", ann):
                pass
        assert refused.value.response.status_code == 429
        assert int(refused.value.response.headers["retry-after"]) > 0
        async with gateway.ws("/ws", bob) as innocent, gateway.ws("/ws") as stranger:
            for socket in (innocent, stranger):
                await say(socket, type="ping", id="1")
                assert (await said(socket))["id"] == "1"


async def test_a_flood_that_is_not_read_costs_nothing():
    """While a socket waits for its turn nothing is read of it; what it sends stays in the network."""
    async with running(frame_rate=0.001, frame_burst=1, spare_rate=0.001) as gateway:
        flooding = await raw(gateway, "/ws", {})
        await until(lambda: gateway.app.counts.sockets == 1)
        (session,) = gateway.app._hall.sessions
        lane = gateway.app._doorway._around.lane
        lane._tick = lambda: None  # nobody's turn comes
        loop = asyncio.get_running_loop()
        sending = asyncio.create_task(loop.sock_sendall(flooding, masked(0x89, b"p") * 1_000_000))
        await until(lambda: session.socket._halted)
        held = len(session.socket._inbox)
        assert held < 256 * 1024
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(session.socket._inbox) == held
        assert not sending.done()
        sending.cancel()
        flooding.close()


async def test_a_crowd_of_handshakes_is_let_in_one_by_one():
    """Beyond their rate handshakes wait for their turn, and each is done."""
    async with running(handshake_rate=0.001) as gateway, AsyncExitStack() as stack:
        opening = [stack.enter_async_context(gateway.ws("/ws")) for _ in range(20)]
        for socket in await asyncio.gather(*opening):
            await say(socket, type="ping", id="1")
            assert (await said(socket))["id"] == "1"


async def test_handshakes_of_one_user_have_a_limit():
    """Beyond it they're closed 4429, then refused at the door; another user isn't concerned."""
    async with running(connect_rate=0.01, connect_burst=2) as gateway:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        for _ in range(2):
            async with gateway.ws("/ws", ann):
                pass
        async with gateway.ws("/ws", ann) as third:
            await third.wait_closed()
            assert third.close_code == 4429
        with pytest.raises(InvalidStatus):
            async with gateway.ws("/ws", ann):
                pass
        async with gateway.ws("/ws", bob) as socket:
            await say(socket, type="ping", id="1")
            assert (await said(socket))["id"] == "1"


async def test_commands_beyond_the_bound_wait_until_one_is_answered():
    """Unanswered commands of a socket are bounded; the rest stay unread, and then are done."""
    async with running(pending_commands=4) as gateway:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        game = await gateway.game(ann, bob)
        async with gateway.ws("/ws", ann) as socket:
            gateway.router.held = []
            before = len(gateway.router.asked)
            for n in range(10):
                await say(socket, type="move", game=game, id=f"c{n}", uci="e2e5")
            await until(lambda: len(gateway.router.asked) == before + 4)
            (session,) = gateway.app._hall.sessions
            await until(lambda: session.socket._halted)
            gateway.router.let_go()
            assert [(await said(socket))["id"] for _ in range(10)] == [f"c{n}" for n in range(10)]
            await until(lambda: not session.socket._halted)


async def test_a_dead_peer_is_found_by_its_silence():
    """A socket that answers no ping for an interval is closed 4408, and its seat is left."""
    async with running(heartbeat=0.128) as gateway:
        ann = await gateway.player("Ann")
        game = await gateway.game(ann)
        dead = await raw(gateway, f"/ws/games/{game}", ann)
        await until(lambda: gateway.app.counts.sockets == 1)
        await until(lambda: not gateway.app.counts.sockets)
        assert gateway.app.counts.closes == {"idle": 1}
        got = await asyncio.get_running_loop().sock_recv(dead, 1 << 20)
        assert b"\x88\x06" + (4408).to_bytes(2, "big") + b"idle" in got
        assert gateway.router.attended[game] == ([], 0)
        dead.close()


async def test_a_vanished_client_leaves_nothing_behind():
    """After a reset connection no socket, session, subscription or watch remains."""
    async with running() as gateway:
        ann = await gateway.player("Ann")
        game = await gateway.game(ann)
        for _ in range(3):
            gone = await raw(gateway, f"/ws/games/{game}", ann)
            await until(lambda: gateway.app.counts.subscriptions == 1)
            gone.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            gone.close()
            await until(lambda: not gateway.app.counts.sockets)
        assert not gateway.app._hall.sessions
        assert not gateway.router.listeners
        assert not gateway.app.counts.topics
        assert not any(gateway.app._heartbeat._slots)


class Paper:
    """An outlet that notes what it's given, and when among all."""

    def __init__(self, order: list) -> None:
        self.order = order
        self.frames: list[bytes] = []

    def write(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.order.append(self)


class Silence:
    """A router that opens whatever is watched when it's told."""

    def __init__(self) -> None:
        self.opens = []
        self.listener = None
        self.attended = []

    def watch(self, game, after, listener, timeout, on_open) -> None:
        self.listener = listener
        self.opens.append(on_open)

    def unwatch(self, game) -> None:
        self.listener = None

    def attend(self, game, users, watchers) -> None:
        self.attended.append((list(users), watchers))


async def crowd(count: int, fanout: int, gather: float = 60.0):
    """Return (router, topics, player, its outlet, watchers, order) with everybody let in."""
    router, order = Silence(), []
    settings = GatewaySettings(fanout=fanout, gather=gather)
    topics = Topics(router, settings, Counts(), asyncio.get_running_loop())
    members = []
    for n in range(count):
        subscriber = Subscriber(Paper(order), f"u{n}")
        topics.join("g", None, subscriber, lambda _, s=subscriber: s.started())
        members.append(subscriber)
    for opened in router.opens:
        opened(Packed("chess", 1, b""))
    topics.promote("g", members[-1])
    return router, topics, members, order


async def test_a_crowd_is_written_to_in_turns_with_the_player_first():
    """After 500 sockets others get their turn; everybody gets all events once and in order."""
    router, _, members, order = await crowd(1700, 500)
    for seq in (2, 3):
        router.listener.on_event(seq, b'{"seq":%d}' % seq)
    assert order[0] is order[501] is members[-1].outlet  # both events, before most of the crowd
    assert len(order) == 502
    turns = 0
    while len(order) < 3400:
        before = len(order)
        await asyncio.sleep(0)
        assert len(order) - before <= 500
        turns += 1
    assert turns >= 6
    assert all([json.loads(f[2:])["seq"] for f in m.outlet.frames] == [2, 3] for m in members)


async def test_who_leaves_or_comes_in_the_midst_of_a_crowds_event_gets_it_never_or_once():
    """Leaving ends it at once; a newcomer whose beginning tells the event doesn't get it again."""
    router, topics, members, _ = await crowd(1000, 100)
    router.listener.on_event(2, b'{"seq":2}')
    topics.leave("g", members[500])
    new = Subscriber(Paper([]), "new")
    topics.join("g", None, new, lambda _: new.started())
    router.opens[-1](Packed("chess", 2, b""))
    router.listener.on_event(3, b'{"seq":3}')
    await until(lambda: members[998].seq == new.seq == 3)
    assert members[500].outlet.frames == []
    assert [json.loads(f[2:])["seq"] for f in new.outlet.frames] == [3]


async def test_comings_and_goings_of_watchers_are_told_seldom_those_of_players_at_once():
    """The first is told in the same turn; then watchers' gather, and a player's takes them along."""
    router, topics, members, _ = await crowd(4, 500)
    await asyncio.sleep(0)
    assert router.attended == [(["u3", "u0", "u1", "u2"], 4)]
    for member in members[:2]:
        topics.leave("g", member)
        await asyncio.sleep(0)
    assert len(router.attended) == 1
    topics.leave("g", members[3])
    await asyncio.sleep(0)
    assert router.attended[1:] == [(["u2"], 1)]


async def test_what_has_gathered_is_told_after_a_while():
    """Nobody's coming or going is forgotten, and many of them are one message."""
    router, topics, members, _ = await crowd(50, 500, gather=0.05)
    await asyncio.sleep(0)
    for member in members[1:49]:
        topics.leave("g", member)
        await asyncio.sleep(0)
    await until(lambda: router.attended[-1] == (["u49", "u0"], 2))
    assert len(router.attended) < 10


async def test_a_player_who_comes_back_is_told_of_at_once():
    """Whom the game has seated is known as a player before they play, and told of in that turn."""
    router, topics, members, _ = await crowd(4, 500)
    await asyncio.sleep(0)
    topics.seated("g", ["u2", "u3"], members[2])
    await asyncio.sleep(0)
    topics.leave("g", members[2])
    await asyncio.sleep(0)
    assert router.attended[-1] == (["u3", "u0", "u1"], 3)
    again = Subscriber(Paper([]), "u2")
    topics.join("g", None, again, lambda _: again.started())
    router.opens[-1](Packed("chess", 1, b""))
    await asyncio.sleep(0)
    assert sorted(router.attended[-1][0]) == ["u0", "u1", "u2", "u3"]
    assert len(router.attended) == 4
