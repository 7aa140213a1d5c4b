"""A router's links: one to every shard in the routing table, tried again until it stands."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from functools import partial

from runtime.link import ClientLink, LinkError, connect

_log = logging.getLogger(__name__)
_PAUSE_S = 0.1

Address = tuple[str, int]


class ShardLinks:
    """Keeps the links that are wanted. Belongs to one event loop."""

    def __init__(
        self,
        make: Callable[[Callable[[ClientLink], None]], ClientLink],
        up: Callable[[Address], None],
        down: Callable[[Address, ClientLink], None],
        tls: ssl.SSLContext | None,
    ) -> None:
        """Prepare.

        Args:
            make: Returns a new link that calls what it's given when it ends.
            up: Hears of a link that stands.
            down: Hears of a link that broke.
            tls: How links are encrypted, if they are.
        """
        self._make = make
        self._up = up
        self._down = down
        self._tls = tls
        self._wanted: set[Address] = set()
        self._standing: dict[Address, ClientLink] = {}
        self._connecting: dict[Address, asyncio.Task[None]] = {}

    def get(self, address: Address | None) -> ClientLink | None:
        """Return the link that stands to `address`, if there is one."""
        return self._standing.get(address) if address is not None else None

    def keep(self, addresses: set[Address]) -> None:
        """Have links to these addresses and no others."""
        self._wanted = addresses
        for address in addresses:
            self._begin(address)
        for address in self._standing.keys() - addresses:
            # Its shard may hang: it wouldn't take a farewell.
            self._standing[address].cut()

    def _begin(self, address: Address) -> None:
        if address not in self._standing and address not in self._connecting:
            task = asyncio.get_running_loop().create_task(self._connect(address))
            self._connecting[address] = task
            task.add_done_callback(lambda _: self._connecting.pop(address, None))

    async def _connect(self, address: Address) -> None:
        while address in self._wanted:
            link = self._make(partial(self._lost, address))
            try:
                await connect(link, address, self._tls)
            except (OSError, LinkError, TimeoutError) as error:
                _log.debug("no link to %s:%d: %s", *address, error)
                await asyncio.sleep(_PAUSE_S)
            else:
                self._standing[address] = link
                self._up(address)
                return

    def _lost(self, address: Address, link: ClientLink) -> None:
        if self._standing.get(address) is link:
            del self._standing[address]
            self._down(address, link)
            if address in self._wanted:
                self._begin(address)

    async def close(self) -> None:
        """Hang up everywhere."""
        self._wanted = set()
        for link in list(self._standing.values()):
            link.close()
        tasks = list(self._connecting.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
