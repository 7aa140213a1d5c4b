"""What GET /metrics tells of the shards and their logs."""

from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics import Counts, exposition

KAFKA = {
    "kind": "kafka",
    "healthy": True,
    "away": True,
    "in_outbox": [1, 5],
    "outbox_events": 30,
    "in_flight": 2,
    "appends": 10,
    "append_seconds": 0.5,
}


def shard(name, log, **changes):
    own = {
        "state": "serving",
        "partitions": [{"id": 1, "epoch": 3}, {"id": 5, "epoch": 4}],
        "games": 12,
        "passive_games": 5,
        "failed_games": 0,
        "to_replay": 7,
        "lag_ms": 4.0,
        "events": 100,
        "snapshots": 9,
        "links": 1,
    }
    return {"name": name, "log": log, **own, **changes}


def samples(body):
    """Read the text back: (name, its labels' values in order) -> number."""
    text = exposition(Counts(), "gateway-0", body).decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_shard_with_its_log_in_kafka_tells_of_both():
    """Whether the breaker is open, what waits in the outbox, how long appends take."""
    found = samples({"shards": [shard("shard-0", KAFKA)]})
    assert found["gameshard_shards_known",] == 1
    assert found["gameshard_shard_up", "shard-0"] == 1
    assert found["gameshard_shard_partitions", "shard-0"] == 2
    assert found["gameshard_shard_games", "shard-0"] == 12
    assert found["gameshard_shard_loop_lag_seconds", "shard-0"] == 0.004
    assert found["gameshard_shard_events_total", "shard-0"] == 100
    log = {
        name.removeprefix("gameshard_log_"): value
        for (name, *labels), value in found.items()
        if labels == ["kafka", "shard-0"]
    }
    assert log == {
        "healthy": 1,
        "breaker_open": 1,
        "outbox_partitions": 2,
        "outbox_events": 30,
        "appends_in_flight": 2,
        "append_seconds_count": 10,
        "append_seconds_sum": 0.5,
    }


def test_a_log_in_postgres_tells_what_it_has():
    """It has neither a breaker nor an outbox; a shard that's silent is told with its last word."""
    log = {"kind": "postgres", "healthy": False}
    found = samples({"shards": [shard("shard-0", log, state="silent")]})
    assert found["gameshard_log_healthy", "postgres", "shard-0"] == 0
    assert found["gameshard_shard_up", "shard-0"] == 0
    assert [name for name, *labels in found if labels == ["postgres", "shard-0"]] == [
        "gameshard_log_healthy"
    ]


def test_a_shard_with_hot_state_tells_of_it():
    """Whether Redis answers, how much is written, and what of it has served; others tell nothing."""
    hot = {"kind": "redis", "healthy": True, "writes": 7, "games": 90, "unwritten": 1, "served": 2}
    log = {"kind": "postgres", "healthy": True}
    bodies = [shard("shard-0", log, hot_state=hot), shard("shard-1", log, hot_state=None)]
    found = samples({"shards": bodies})
    assert {name[0]: value for name, value in found.items() if "hot_state" in name[0]} == {
        "gameshard_hot_state_healthy": 1,
        "gameshard_hot_state_writes_total": 7,
        "gameshard_hot_state_games_total": 90,
        "gameshard_hot_state_unwritten_partitions": 1,
        "gameshard_hot_state_served_partitions": 2,
    }
    assert {name[1:] for name in found if "hot_state" in name[0]} == {("shard-0",)}


def test_a_shard_of_another_version_tells_what_it_can():
    """In a rolling upgrade one may lack figures; the others are told."""
    lacking = {"name": "shard-1", "state": "serving", "partitions": []}
    found = samples({"shards": [lacking, shard("shard-0", KAFKA)]})
    assert found["gameshard_shard_partitions", "shard-1"] == 0
    assert ("gameshard_shard_games", "shard-1") not in found
    assert found["gameshard_shard_games", "shard-0"] == 12


def test_without_the_coordinator_the_gateways_own_figures_are_told():
    """And that the others aren't known."""
    found = samples(None)
    assert found["gameshard_shards_known",] == 0
    assert found["gameshard_gateway_sockets", "gateway-0"] == 0
    assert not [name for name, *_ in found if name.startswith("gameshard_shard_")]
