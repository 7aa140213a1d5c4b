"""A bench's socket against a server on loopback."""

import asyncio

from websockets.asyncio.server import ServerConnection, serve

from bench.seat import Frame, Seat
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


class Player:
    """Greets a socket that's there again, as who sits there must before anything else is sent."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.lost = asyncio.Event()

    def on_frame(self, number: int, frame: Frame) -> None:
        """Nothing comes."""

    def on_lost(self, number: int) -> None:
        self.lost.set()

    def on_back(self, number: int) -> None:
        self.seat.send("subscribe")


async def test_who_is_back_speaks_first():
    """However eagerly others send by it: the first frame on a new socket is that of who sits there."""
    first: asyncio.Queue[str | bytes] = asyncio.Queue()
    dropped: list[ServerConnection] = []

    async def drop_once(connection: ServerConnection) -> None:
        if dropped:
            first.put_nowait(await connection.recv())
        dropped.append(connection)

    async with serve(drop_once, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        seat = Seat(Target("127.0.0.1", port), User("ann", "token"), 0)
        seat.sitter = player = Player(seat)
        await seat.connect()
        async with asyncio.timeout(5):
            await player.lost.wait()
            while first.empty():
                seat.send("eager")
                await asyncio.sleep(0)
            assert await first.get() == "subscribe"
        seat.close()


async def test_a_seat_that_is_asked_to_connects_anew():
    """It hangs up by itself when its moment has come, and whoever sits there is back."""
    codes: list[int | None] = []
    again = asyncio.Event()

    async def send_away(connection: ServerConnection) -> None:
        if codes:
            again.set()
        else:
            await connection.send('{"type":"reconnect","after_ms":1}')
        await connection.wait_closed()
        codes.append(connection.close_code)

    async with serve(send_away, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        seat = Seat(Target("127.0.0.1", port), User("ann", "token"), 0)
        seat.sitter = player = Player(seat)
        await seat.connect()
        async with asyncio.timeout(5):
            await again.wait()
        assert player.lost.is_set()
        assert codes == [1000]
        seat.close()
