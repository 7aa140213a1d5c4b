"""The log's own tests run on both event loops: shards run on uvloop, tools on asyncio's."""

import asyncio

import uvloop


def pytest_asyncio_loop_factories(config, item):
    """Give a test its loops."""
    loops = {"asyncio": asyncio.new_event_loop}
    if item.path.name in ("test_postgres_log.py", "test_brokers.py"):
        loops["uvloop"] = uvloop.new_event_loop
    if item.path.name == "test_kafka_log.py":
        loops = {"uvloop": uvloop.new_event_loop}  # a broker's tests take their time
    return loops
