"""The routing table's copy in a real Valkey: what is there, what listeners hear, and what is late."""

import asyncio

import msgspec
import pytest
from redis.asyncio import Redis

from persistence.log import Unavailable
from persistence.redis_routes import NAME, RedisRoutes
from runtime.mirror import mirror, told
from runtime.table import Route, RoutingTable


def table(version: int, *owners: str | None) -> RoutingTable:
    return RoutingTable(
        version,
        [
            Route(p, version, name or "", ("127.0.0.1", 7000 + p) if name else None)
            for p, name in enumerate(owners)
        ],
    )


@pytest.fixture
async def routes(valkey, redis):
    copy = RedisRoutes(valkey.url)
    yield copy
    await copy.close()


async def stored(redis) -> dict[str, object]:
    fields = await redis.hgetall(NAME)
    return {name.decode(): msgspec.json.decode(value) for name, value in fields.items()}


async def test_the_copy_is_the_whole_table(routes, redis):
    """Hash and message have the version and every route; what the newer table lacks is gone."""
    async with redis.pubsub(ignore_subscribe_messages=True) as listener:
        await listener.subscribe(NAME)
        await listener.get_message(timeout=5)
        assert await routes.publish(1, told(table(1, "s0", "s1", "s2")))
        assert await routes.publish(2, told(table(2, "s0", None)))
        expected = {
            "0": {"shard": "s0", "epoch": 2, "address": "127.0.0.1:7000"},
            "1": {"shard": "", "epoch": 2, "address": None},
        }
        assert await stored(redis) == {"version": 2, **expected}
        heard = []
        while len(heard) < 2:
            if (message := await listener.get_message(timeout=5)) is not None:
                heard.append(msgspec.json.decode(message["data"]))
        assert heard[1] == {"version": 2, "routes": expected}


async def test_an_older_table_changes_nothing(routes, redis):
    """A coordinator that was succeeded, or a message that comes late, takes nothing back."""
    await routes.publish(5, told(table(5, "new")))
    assert not await routes.publish(4, told(table(4, "old")))
    assert not await routes.publish(5, told(table(5, "old")))
    assert (await stored(redis))["0"]["shard"] == "new"


async def test_a_copy_that_cant_be_written_is_written_later(valkey, redis, monkeypatch):
    """The newest table waits for Redis, and no other one is written first."""
    monkeypatch.setattr("runtime.mirror._PAUSE_S", 0.01)
    monkeypatch.setattr("runtime.mirror._EVERY_S", 0.01)
    tables, tries = [table(1, "first")], 0

    class Copy(RedisRoutes):
        async def publish(self, version, routes):
            nonlocal tries
            tries += 1
            return await super().publish(version, routes)

    copy = Copy(valkey.url)
    valkey.stop()
    mirroring = asyncio.create_task(mirror(lambda: tables[-1], copy))
    try:
        async with asyncio.timeout(30):
            while tries < 2:
                await asyncio.sleep(0)
            tables.append(table(2, "second"))
            valkey.start()
            async with Redis.from_url(valkey.url) as again:
                while not await again.exists(NAME):
                    await asyncio.sleep(0)
                assert (await stored(again))["0"]["shard"] == "second"
    finally:
        valkey.start()
        mirroring.cancel()
        await copy.close()


async def test_a_redis_that_is_away_is_unavailable(valkey, routes):
    """Whoever publishes hears so, and nothing else."""
    valkey.stop()
    try:
        with pytest.raises(Unavailable):
            await routes.publish(1, {})
    finally:
        valkey.start()
