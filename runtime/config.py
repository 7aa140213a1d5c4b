"""What every service of a cluster is told when it's started."""

from __future__ import annotations

from msgspec import Struct

from runtime.settings import RouterSettings, ShardSettings

COORDINATOR = "coordinator"


class ClusterConfig(Struct, frozen=True, kw_only=True):
    """One cluster. The same for all of its services.

    Attributes:
        namespace: Ray namespace, and the name of the installation in the store.
        dsn: How to reach Postgres (libpq's words).
        secret: What the cluster's own processes prove themselves by.
        partitions: How many partitions the log has; can't change on existing data.
        shards: How many shards to begin with.
        gateways: How many gateways share the port.
        host: The address that links listen on.
        shard, router: Their own settings.
    """

    dsn: str
    secret: bytes
    namespace: str = "gameshard"
    partitions: int = 8
    shards: int = 1
    gateways: int = 1
    host: str = "127.0.0.1"
    shard: ShardSettings = ShardSettings()
    router: RouterSettings = RouterSettings()

    def shard_names(self) -> list[str]:
        """Return the names of the shards to begin with."""
        return [f"shard-{i}" for i in range(self.shards)]

    def gateway_names(self) -> list[str]:
        """Return the names of the gateways."""
        return [f"gateway-{i}" for i in range(self.gateways)]
