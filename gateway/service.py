"""A gateway as a service of the cluster: its router, its stores, its share of the port."""

from __future__ import annotations

import os

from gateway.app import Parts, create_app
from gateway.server import Server, listen
from gateway.settings import GatewayConfig
from persistence.postgres import SharedStores
from runtime.behaviours import load
from runtime.host import Peers
from runtime.services import make_router
from runtime.table import RoutingTable


class GatewayService:
    """One of the processes that players talk to."""

    def __init__(self, name: str, peers: Peers, config: GatewayConfig) -> None:
        """Prepare the gateway called `name`."""
        self._name = name
        self._config = config
        self._behaviours = load()
        self._router = make_router(name, peers, config.cluster, self._behaviours)
        self._draining = False

    async def start(self) -> None:
        """Find the shards and begin to serve."""
        self._stores = SharedStores(self._config.cluster.dsn)
        await self._router.start()
        parts = Parts(
            name=self._name,
            router=self._router,
            behaviours=self._behaviours,
            settings=self._config.settings,
            secret=self._config.cluster.secret,
            names=self._stores.names,
            archive=self._stores.snapshots,
            ready=lambda: self._router.ready,
        )
        self._server = Server(create_app(parts))
        await self._server.start(listen(self._config.host, self._config.port))

    async def route(self, table: RoutingTable) -> None:
        """Take a routing table."""
        self._router.route(table)

    async def ready(self) -> bool:
        """Return whether every partition has an owner that answers here, and clients may come."""
        return self._router.ready and not self._draining

    async def sockets(self) -> int:
        """Return how many clients are connected here."""
        return self._server.sockets

    async def drain(self) -> None:
        """Let the clients go to the other gateways, which must be there; then `stop` is due."""
        self._draining = True
        await self._server.drain()

    async def disperse(self, count: int) -> None:
        """Ask so many clients to connect anew, perhaps to another gateway."""
        self._server.disperse(count)

    async def pid(self) -> int:
        """Return this process's id."""
        return os.getpid()

    async def stop(self) -> None:
        """Send the clients elsewhere and end."""
        await self._server.stop()
        await self._router.close()
        await self._stores.close()
