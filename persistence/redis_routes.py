"""The routing table's copy in Redis, for routers outside the cluster.

    shards:routing   hash: "version", and partition -> JSON {"shard", "epoch", "address"}
    shards:routing   channel: each newer table as JSON {"version", "routes": {partition: ...}}

It's a copy, and may be late: an owner that isn't one any more says so itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from persistence.log import Unavailable

NAME = "shards:routing"
_PATIENCE_S = 2.0

_PUBLISH = """
local version = tonumber(ARGV[1])
if version <= (tonumber(redis.call('HGET', KEYS[1], 'version') or '') or -1) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'version', ARGV[1])
for i = 3, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('PUBLISH', KEYS[1], ARGV[2])
return 1
"""


class RedisRoutes:
    """Writes the copy. Belongs to one event loop."""

    def __init__(self, url: str) -> None:
        """Connect to `url` when first needed."""
        self._redis = Redis.from_url(url, retry=Retry(NoBackoff(), 0))
        self._publish = self._redis.register_script(_PUBLISH)

    async def publish(self, version: int, routes: Mapping[int, object]) -> bool:
        """Replace an older copy and tell who listens; return False if it isn't older.

        Raises:
            Unavailable: If Redis doesn't answer in time.
        """
        encode = msgspec.json.encode
        told = encode({"version": version, "routes": {str(p): r for p, r in routes.items()}})
        fields = [each for p, route in routes.items() for each in (p, encode(route))]
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return bool(await self._publish(keys=[NAME], args=[version, told, *fields]))
        except (RedisError, OSError) as error:
            raise Unavailable(str(error) or "no answer in time") from error

    async def close(self) -> None:
        """Hang up."""
        await self._redis.aclose()
