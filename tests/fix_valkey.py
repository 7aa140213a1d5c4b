"""One real Valkey for the whole run of the tests, emptied for each that asks."""

import os
import tempfile
from pathlib import Path

import pytest
from redis.asyncio import Redis

from persistence.local.server import NotInstalled
from persistence.local.valkey import LocalValkey


@pytest.fixture(scope="session")
def valkey():
    """A real Valkey; whoever stops it starts it again."""
    with tempfile.TemporaryDirectory(prefix="gameshard-vk-", ignore_cleanup_errors=True) as folder:
        server = LocalValkey(Path(folder))
        try:
            server.start()
        except NotInstalled as problem:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(str(problem))
        yield server
        server.stop()


@pytest.fixture
async def redis(valkey):
    """A client of an empty Valkey."""
    async with Redis.from_url(valkey.url) as client:
        await client.flushall()
        yield client
