"""What every service of a cluster is told when it's started."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

from msgspec import Struct

from persistence.kafka.stores import KafkaSettings
from runtime.settings import (
    NodeHealth,
    OwnershipTiming,
    RaySettings,
    RouterSettings,
    ShardSettings,
)

COORDINATOR = "coordinator"
GATEWAY = "gateway-"
"""What the names of gateways begin with."""


class LinkTls(Struct, frozen=True):
    """Encryption of the links: both ends show a certificate of the cluster's own authority.

    Attributes:
        certificate, key: PEM files of this process.
        authority: PEM file of whoever signed the certificates of the others.
    """

    certificate: str
    key: str
    authority: str

    def context(self, *, server: bool) -> ssl.SSLContext:
        """Return what a server or a client of links needs. Reads the files anew."""
        purpose = ssl.Purpose.CLIENT_AUTH if server else ssl.Purpose.SERVER_AUTH
        context = ssl.create_default_context(purpose, cafile=self.authority)
        context.load_cert_chain(self.certificate, self.key)
        context.verify_mode = ssl.CERT_REQUIRED
        context.check_hostname = False  # shards come and go; the authority signs nobody else
        return context


class ClusterConfig(Struct, frozen=True, kw_only=True):
    """One cluster. The same for all of its services.

    Attributes:
        namespace: Ray namespace, and the name of the installation in the store.
        dsn: How to reach Postgres (libpq's words).
        kafka: Where the events go; None: into Postgres as well.
        redis: URL of a Redis for hot state and the copy of the routing table; None: there's none.
        secret: What the cluster's own processes prove themselves by.
        partitions: How many partitions the log has; can't change on existing data.
        shards: How many shards there shall be; None: as many as the last time, or one.
        gateways: How many gateways share the port.
        host: The address that links listen on; empty: each node's own, as Ray knows it.
        tls: Encryption of the links; None on a network that nobody else is on.
        retention_days: So long the log keeps events that no replay needs any more.
        shard, router, ownership: Their own settings.
        games: What was set about kinds of games (`runtime.behaviours.settable`).
        shard_cpus: CPUs that Ray sets aside for each shard when it places it.
        health: How fast Ray notices that a machine is lost, if the Ray is ours.
        ray: Which Ray it is.
    """

    dsn: str
    secret: bytes
    kafka: KafkaSettings | None = None
    redis: str | None = None
    namespace: str = "gameshard"
    partitions: int = 8
    shards: int | None = None
    gateways: int = 1
    host: str = "127.0.0.1"
    tls: LinkTls | None = None
    retention_days: float = 7.0
    shard: ShardSettings = ShardSettings()
    router: RouterSettings = RouterSettings()
    ownership: OwnershipTiming = OwnershipTiming()
    games: Mapping[str, Struct] = {}
    shard_cpus: float = 0.0
    health: NodeHealth = NodeHealth()
    ray: RaySettings = RaySettings()

    def gateway_names(self) -> list[str]:
        """Return the names of the gateways."""
        return [f"{GATEWAY}{i}" for i in range(self.gateways)]
