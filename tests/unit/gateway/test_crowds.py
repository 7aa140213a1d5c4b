"""A thousand clients that come, speak or vanish in one moment: others are served in between."""

import asyncio
import gc
import socket as sockets
import struct
import weakref

from gateway_of_tests import running, said, say, until
from test_frames import masked
from test_rude_clients import raw

from gateway.connection import Connection

PING = masked(0x81, b'{"type":"ping"}')
RESET = struct.pack("ii", 1, 0)


def vanish(sock: sockets.socket) -> None:
    """Break the connection off with a reset."""
    sock.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, RESET)
    sock.close()


async def test_one_handshake_is_done_in_a_moment():
    """Who comes in the same moment waits for its turn in the lane."""
    async with running(handshake_rate=1000.0) as gateway:
        porch = gateway.app.admission.porch
        assert [porch.spare(1e9) for _ in range(3)] == [True, False, False]
        assert porch.spare(1e9 + 0.001)


async def test_what_one_socket_says_at_once_is_read_in_turns():
    """Its first frames are answered as they come, the rest a few a turn, in order, none lost."""
    async with running() as gateway:
        ann = await gateway.player("Ann")
        crowding = await raw(gateway, "/ws", ann)
        await until(lambda: gateway.app.counts.sockets == 1)
        counts, reading = gateway.app.counts, gateway.app._doorway._around.reading
        turns = []
        reading.later = turns.append
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(crowding, PING * 12)
        await until(lambda: turns)
        assert counts.frames_in == 2
        async with gateway.ws("/ws", ann) as other:
            await say(other, type="ping", id="1")
            assert (await said(other))["id"] == "1"
        read = []
        while turns:
            turns.pop()()
            read.append(counts.frames_in - 3)
        assert read == [4, 8, 10]
        await loop.sock_sendall(crowding, PING)
        await until(lambda: counts.frames_in == 14)
        crowding.close()


async def test_what_was_asked_before_a_goodbye_is_answered_before_it():
    """Though both came in one read: an answer is held back for its turn, but not beyond the end."""
    async with running() as gateway:
        ann = await gateway.player("Ann")
        leaving = await raw(gateway, "/ws", ann)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(leaving, PING + masked(0x88, b"\x03\xe8"))
        heard = b""
        async with asyncio.timeout(5):
            while b"\x88\x02\x03\xe8" not in heard:
                heard += await loop.sock_recv(leaving, 4096)
        assert heard.index(b'"type":"pong"') < heard.index(b"\x88\x02\x03\xe8")
        leaving.close()


async def test_those_who_vanish_together_leave_their_games_in_turns():
    """Sockets are no longer counted at once; games are left one by one, and told of it."""
    async with running() as gateway:
        ann = await gateway.player("Ann")
        game = await gateway.game(ann)
        losses = gateway.app._doorway._around.losses
        turns = []
        losses.add = turns.append
        crowd = [await raw(gateway, f"/ws/games/{game}", ann) for _ in range(5)]
        counts = gateway.app.counts
        await until(lambda: counts.subscriptions == 5)
        for sock in crowd:
            vanish(sock)
        await until(lambda: len(turns) == 5)
        assert counts.sockets == 0
        assert (counts.subscriptions, gateway.app.sockets) == (5, 5)
        for left in (4, 3, 2, 1, 0):
            turns.pop()()
            assert (counts.subscriptions, gateway.app.sockets) == (left, left)
        assert counts.topics == 0


def connections() -> int:
    """Return how many there are before a WebSocket's own, or as garbage."""
    return sum(isinstance(each, Connection) for each in gc.get_objects())


async def test_a_connection_that_is_gone_needs_no_search_for_cycles():
    """It's freed as it goes: a collector that finds a thousand of them stops everybody."""
    async with running() as gateway:
        ann = await gateway.player("Ann")
        game = await gateway.game(ann)
        gc.collect()
        gc.disable()
        try:
            before = connections()
            sock = await raw(gateway, f"/ws/games/{game}", ann)
            await until(lambda: gateway.app.counts.subscriptions == 1)
            await until(lambda: connections() == before)
            (session,) = gateway.app._hall.sessions
            gone = [weakref.ref(each) for each in (session, session.socket, session.socket.conn)]
            del session
            vanish(sock)
            await until(lambda: not gateway.app.sockets)
            await until(lambda: not any(each() for each in gone))
        finally:
            gc.enable()


async def test_a_stop_ends_those_who_have_yet_to_leave():
    """Who is gone and hasn't left its games keeps no server from its end."""
    async with running() as gateway:
        ann = await gateway.player("Ann")
        game = await gateway.game(ann)
        gateway.app._doorway._around.losses.add = lambda _: None
        vanish(await raw(gateway, f"/ws/games/{game}", ann))
        await until(lambda: gateway.app.counts.sockets == 0 and gateway.app.sockets == 1)
        async with asyncio.timeout(5):
            await gateway.server.stop()
