"""`gameshard consume archive` as a person or a service manager runs it."""

import asyncio
import re
import signal
import sys
from uuid import uuid4

import httpx
import pytest
from test_archive import ENDS, Bench, topic_of_one_partition

from persistence.log import Record


@pytest.fixture
async def bench(kafka, dsn):
    async with topic_of_one_partition(kafka.address, f"t{uuid4().hex[:12]}", dsn) as bench:
        yield bench


async def command(bench: Bench, *options: str) -> asyncio.subprocess.Process:
    """Start the command on the bench's stores."""
    kafka = bench.kafka
    stores = ["--postgres", bench.dsn, "--kafka", kafka.servers, "--topic", kafka.topic]
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", "consume", "archive", *stores),
        *("--replication", "1", "--min-insync", "1", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"COLUMNS": "200"},
    )


async def test_it_archives_tells_its_figures_and_ends_in_order(bench):
    """The lag is at /metrics; SIGTERM ends it with 0, and it says what it did."""
    await bench.log("game-6", range(1, ENDS["game-6"] + 1))
    await bench.save("game-6", 0, ENDS["game-6"])
    process = await command(bench, "--metrics-port", "0")
    async with asyncio.timeout(60), httpx.AsyncClient() as http:
        said = (await process.stderr.readline()).decode()
        url = re.search(r"http://127\.0\.0\.1:\d+/metrics", said)[0]
        while not await bench.archived():
            await asyncio.sleep(0.05)
        while 'lag{consumer="archive",partition="0"} 0.0' not in (await http.get(url)).text:
            await asyncio.sleep(0.05)
        text = (await http.get(url)).text
        assert 'gameshard_consumer_settled_total{consumer="archive"} 1.0' in text
        process.send_signal(signal.SIGTERM)
        _, said = await process.communicate()
    assert process.returncode == 0
    assert "archived 1 games, 0 dead letters" in said.decode()


async def test_dead_letters_are_listed_and_driven_again(bench):
    """A line for each with its place, its game and the reason; 1 says that some still wait."""
    await bench.append(Record("game-6", ENDS["game-6"], b'{"type":"GameEnded"}'), timestamp_ms=1)
    async with asyncio.timeout(120):
        assert await (await command(bench, "--until-end")).wait() == 0
        listing = await command(bench, "--dead-letters", "list")
        told, _ = await listing.communicate()
        assert re.fullmatch(
            rf"\S+  0/0  game-6:{ENDS['game-6']}  event 1 of game game-6, .*\n", told.decode()
        )
        again = await command(bench, "--dead-letters", "redrive")
        _, said = await again.communicate()
    assert again.returncode == 1
    assert "0 archived, 1 still wait" in said.decode()


async def test_without_our_tables_it_says_what_to_do(empty_dsn):
    """It doesn't wait for ever for a system that was never there."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", "consume", "archive"),
        *("--postgres", empty_dsn, "--kafka", "127.0.0.1:1"),
        stderr=asyncio.subprocess.PIPE,
        env={"COLUMNS": "200"},
    )
    async with asyncio.timeout(60):
        _, said = await process.communicate()
    assert process.returncode == 1
    assert "gameshard run` on it once" in said.decode()
