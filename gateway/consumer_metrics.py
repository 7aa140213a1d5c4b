"""What a consumer counts, in Prometheus's text format."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import uvicorn
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from persistence.kafka.consumer import Consumer

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class _Collector:
    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def collect(self) -> Iterator[Metric]:
        consumer, counts = self._consumer, self._consumer.counts
        lag = GaugeMetricFamily(
            "gameshard_consumer_lag",
            "Records of a partition that aren't settled",
            labels=["consumer", "partition"],
        )
        for partition, records in sorted(consumer.lags().items()):
            lag.add_metric([consumer.name, str(partition)], records)
        yield lag
        for name, text, value in (
            ("partitions", "Partitions that this process has", len(consumer.lags())),
            ("waiting_partitions", "Those that wait for something", len(consumer.troubles())),
        ):
            gauge = GaugeMetricFamily(f"gameshard_consumer_{name}", text, labels=["consumer"])
            gauge.add_metric([consumer.name], value)
            yield gauge
        for name, text, value in (
            ("records", "Records fetched", counts.records),
            ("settled", "Events whose work was done", counts.settled),
            ("duplicates", "Events that were settled before", counts.duplicates),
            ("dead_letters", "Records given up", counts.dead_letters),
            ("waits", "Times that something wasn't there and was waited for", counts.waits),
            ("failures", "Times that the work for a record failed", counts.failures),
            ("commits", "Commits of offsets to Kafka", counts.commits),
            ("failed_commits", "Commits that Kafka didn't take", counts.failed_commits),
            ("rebalances", "Times that partitions were taken away", counts.rebalances),
        ):
            counter = CounterMetricFamily(f"gameshard_consumer_{name}", text, labels=["consumer"])
            counter.add_metric([consumer.name], value)
            yield counter


def exposition(consumer: Consumer) -> bytes:
    """Return the counts; to be called on the consumer's event loop."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(consumer))
    return generate_latest(registry)


class MetricsServer:
    """Answers GET /metrics and /healthz for a consumer."""

    def __init__(self, consumer: Consumer) -> None:
        """Tell about `consumer`, on its event loop."""
        self._consumer = consumer
        routes = [Route("/metrics", self._metrics), Route("/healthz", self._health)]
        config = uvicorn.Config(
            Starlette(routes=routes), lifespan="off", log_config=None, access_log=False
        )
        self._server = uvicorn.Server(config)
        self._serving: asyncio.Task[None] | None = None

    async def _metrics(self, _: Request) -> Response:
        return Response(exposition(self._consumer), media_type=PROMETHEUS)

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    def start(self, host: str, port: int) -> int:
        """Listen; return the port, which may be asked for as 0.

        Raises:
            OSError: If the address can't be had.
        """
        sock = socket.create_server((host, port), family=_family(host))
        serve = self._server._serve([sock])  # noqa: SLF001  (`serve` would take the signals)
        self._serving = asyncio.get_running_loop().create_task(serve)
        return sock.getsockname()[1]

    async def stop(self) -> None:
        """Stop listening."""
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
