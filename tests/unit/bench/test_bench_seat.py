"""A bench's socket against a server on loopback."""

import asyncio

from websockets.asyncio.server import ServerConnection, serve

from bench.seat import Seat
from bench.target import Target
from bench.users import User


async def test_a_seat_says_goodbye_as_it_should():
    """Who closes a seat is closed with 1000: no server takes it for an error."""
    codes: asyncio.Queue[int | None] = asyncio.Queue()

    async def note(connection: ServerConnection) -> None:
        await connection.wait_closed()
        codes.put_nowait(connection.close_code)

    async with serve(note, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        seat = Seat(Target("127.0.0.1", port), User("ann", "token"), 0)
        await seat.connect()
        assert seat.connected
        seat.close()
        async with asyncio.timeout(5):
            assert await codes.get() == 1000


async def test_a_seat_tries_again_when_a_handshake_is_cut():
    """A connection that the server ends before its answer isn't a socket: the next one is."""
    cut: list[ServerConnection] = []

    def cut_twice(connection: ServerConnection, _: object) -> None:
        if len(cut) < 2:
            cut.append(connection)
            connection.transport.abort()

    async def talk(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serve(talk, "127.0.0.1", 0, process_request=cut_twice) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        seat = Seat(Target("127.0.0.1", port), User("ann", "token"), 0)
        await seat.connect()
        assert seat.connected
        assert len(cut) == 2
        seat.close()
