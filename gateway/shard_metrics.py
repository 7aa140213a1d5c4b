"""What the shards and their logs tell of themselves, as metrics: made of the body of GET /shards.

Every gateway tells the same, so a dashboard takes the `max` over gateways, not the sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.metrics_core import Metric

_SHARD_GAUGES = (
    ("games", "games", "Games in memory", 1.0),
    ("passive_games", "passive_games", "Games that are packed in memory", 1.0),
    ("failed_games", "failed_games", "Games in quarantine", 1.0),
    ("to_replay", "events_to_replay", "Events that a take-over would read", 1.0),
    ("lag_ms", "loop_lag_seconds", "How late the event loop is", 0.001),
    ("links", "links", "Links of gateways", 1.0),
)
_SHARD_COUNTERS = (
    ("events", "events", "Events made"),
    ("snapshots", "snapshots", "Snapshots written"),
)
_LOG_GAUGES = (
    ("healthy", "healthy", "Whether appends are answered"),
    ("away", "breaker_open", "Whether Kafka counts as away"),
    ("in_outbox", "outbox_partitions", "Partitions whose events go to Postgres meanwhile"),
    ("outbox_events", "outbox_events", "Events that wait there for Kafka"),
    ("in_flight", "appends_in_flight", "Appends that aren't acknowledged yet"),
)
_HOT_GAUGES = (
    ("healthy", "healthy", "Whether Redis answers"),
    ("unwritten", "unwritten_partitions", "Partitions of which Redis has nothing that counts"),
    ("served", "served_partitions", "Partitions whose take-over began at the hot state"),
)
_HOT_COUNTERS = (
    ("writes", "writes", "Writes to the hot state"),
    ("games", "games", "Games in these writes"),
)
Shards = Sequence[Mapping[str, Any]]


def families(body: Mapping[str, Any] | None) -> Iterator[Metric]:
    """Yield the metrics of a body of GET /shards; None: nobody answered."""
    known = GaugeMetricFamily("gameshard_shards_known", "Whether the coordinator answers")
    known.add_metric([], body is not None)
    yield known
    if body is None:
        return
    shards: Shards = body["shards"]
    up = GaugeMetricFamily("gameshard_shard_up", "Whether the shard answers", labels=["shard"])
    owned = GaugeMetricFamily("gameshard_shard_partitions", "Its partitions", labels=["shard"])
    for shard in shards:
        up.add_metric([shard["name"]], shard["state"] != "silent")
        owned.add_metric([shard["name"]], len(shard["partitions"]))
    yield from (up, owned)
    for field, name, text, unit in _SHARD_GAUGES:
        gauge = GaugeMetricFamily(f"gameshard_shard_{name}", text, labels=["shard"])
        for shard in shards:
            if field in shard:
                gauge.add_metric([shard["name"]], shard[field] * unit)
        yield gauge
    for field, name, text in _SHARD_COUNTERS:
        counter = CounterMetricFamily(f"gameshard_shard_{name}", text, labels=["shard"])
        for shard in shards:
            if field in shard:
                counter.add_metric([shard["name"]], shard[field])
        yield counter
    yield from _logs([shard for shard in shards if "log" in shard])
    yield from _hot([shard for shard in shards if shard.get("hot_state") is not None])


def _hot(shards: Shards) -> Iterator[Metric]:
    """Yield what the shards tell of their hot state, those that have one."""
    for fields, family in ((_HOT_GAUGES, GaugeMetricFamily), (_HOT_COUNTERS, CounterMetricFamily)):
        for field, name, text in fields:
            metric = family(f"gameshard_hot_state_{name}", text, labels=["shard"])
            for shard in shards:
                if field in shard["hot_state"]:  # else it's of another version
                    metric.add_metric([shard["name"]], float(shard["hot_state"][field]))
            yield metric


def _logs(shards: Shards) -> Iterator[Metric]:
    """Yield what the shards' logs tell; a log in Postgres has no breaker and no outbox."""
    labels = ["shard", "log"]
    for field, name, text in _LOG_GAUGES:
        gauge = GaugeMetricFamily(f"gameshard_log_{name}", text, labels=labels)
        for shard in shards:
            log = shard["log"]
            if field in log:
                value = log[field]
                number = len(value) if isinstance(value, Sequence) else float(value)
                gauge.add_metric([shard["name"], log["kind"]], number)
        yield gauge
    times = SummaryMetricFamily(
        "gameshard_log_append_seconds", "From an append to its acknowledgement", labels=labels
    )
    for shard in shards:
        log = shard["log"]
        if "appends" in log:
            where = [shard["name"], log["kind"]]
            times.add_metric(where, count_value=log["appends"], sum_value=log["append_seconds"])
    yield times
