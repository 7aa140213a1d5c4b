"""A TCP proxy in front of Postgres that can hold back, lose and cut what passes through it."""

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo


class Proxy:
    """Everything passes until it's told otherwise."""

    def __init__(self, dsn: str) -> None:
        self._parts = conninfo_to_dict(dsn)
        self._server = None
        self.links: list[Link] = []
        self.away = False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_) -> None:
        self._server.close()
        for link in self.links:
            await link.close()
        await self._server.wait_closed()

    @property
    def dsn(self) -> str:
        port = self._server.sockets[0].getsockname()[1]
        parts = {**self._parts, "host": "127.0.0.1", "port": port}
        return make_conninfo(**parts, sslmode="disable", gssencmode="disable")

    async def _connected(self, reader, writer) -> None:
        if self.away:
            writer.close()
            return
        upstream = await asyncio.open_connection("127.0.0.1", int(self._parts["port"]))
        self.links.append(Link((reader, writer), upstream))

    def hold(self) -> None:
        """Keep back what the clients of now send from here on, until `Link.release`."""
        for link in self.links:
            link.holding = True

    def mute(self) -> None:
        """Lose what the server says to the clients of now."""
        for link in self.links:
            link.muted = True

    def cut(self) -> None:
        """Break off the clients of now; the server isn't told and goes on with what it has."""
        for link in self.links:
            link.cut()


class Link:
    """One client's connection and its twin to the server."""

    def __init__(self, client, server) -> None:
        self.holding = self.muted = self._severed = False
        self.held = b""
        self.heard = 0
        self._client, self._server = client[1], server[1]
        self._tasks = [
            asyncio.create_task(self._pump_up(client[0])),
            asyncio.create_task(self._pump_down(server[0])),
        ]

    async def _pump_up(self, reader) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if self.holding:
                    self.held += data
                else:
                    self._server.write(data)
        if not self._severed:
            self._server.close()

    async def _pump_down(self, reader) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                self.heard += len(data)
                if not self.muted and not self._client.is_closing():
                    self._client.write(data)
        self._client.close()

    def release(self) -> None:
        """Let the server have what was held back."""
        self.holding = False
        self._server.write(self.held)
        self.held = b""

    def cut(self) -> None:
        """Reset the client's connection: not even an end of the stream is sent."""
        self._severed = True
        if self._client.is_closing():
            return
        raw = self._client.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._client.transport.abort()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in (self._client, self._server):
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()
