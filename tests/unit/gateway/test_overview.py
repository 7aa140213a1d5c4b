"""What the command line makes of GET /shards."""

import io

from rich.console import Console

from gateway.check import system_findings
from gateway.overview import lines, table


def shard(name="shard-0", **changes):
    return {
        "name": name,
        "state": "serving",
        "weight": 1.0,
        "pid": 17,
        "partitions": [{"id": 0, "epoch": 3}, {"id": 1, "epoch": 4}],
        "shedding": False,
        "games": 12,
        "passive_games": 5,
        "failed_games": 0,
        "moves_per_second": 3.2,
        "lag_ms": 0.4,
        **changes,
    }


def body(*shards, **changes):
    return {"partitions": 2, "unsettled": 0, "operation": None, "shards": shards, **changes}


DRAIN = {"verb": "drain", "state": "running", "detail": "shard-0", "left": 2, "of": 2}


def test_a_healthy_system_is_told_in_one_line():
    """Nothing is said of what is as usual."""
    assert list(lines(body(shard()))) == [
        "1 of 1 shards serve 2 of 2 partitions; 12 live games, 3 events a second"
    ]


def test_whatever_is_unusual_is_told():
    """State, weight, shedding, quarantine, what isn't settled, and the operation that runs."""
    told = list(
        lines(
            body(
                shard(state="draining", shedding=True, failed_games=2),
                shard("shard-1", state="silent", weight=0.5, partitions=[]),
                unsettled=2,
                operation=DRAIN,
            )
        )
    )
    assert told[0].startswith("1 of 2 shards serve 2 of 2 partitions")
    assert told[1:] == [
        "2 partitions aren't where they belong yet",
        "2 games in quarantine; see: gameshard doctor",
        "shard-0: draining, turns new games away",
        "shard-1: silent, weight 0.5",
        "drain running: shard-0; 2 of 2 partitions to go",
    ]


def test_every_shard_has_a_row_with_its_state_and_weight():
    """Also what it turns away, and what is in quarantine."""
    console = Console(file=io.StringIO(), width=200)
    console.print(table(body(shard(shedding=True, weight=2.5, failed_games=9))))
    row = console.file.getvalue().splitlines()[3]
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        *("shard-0", "serving, shedding", "2.5", "17", "0@3, 1@4"),
        *("12", "5", "9", "3.2", "0.4"),
    ]


def sick(found):
    return [finding.what for finding in found if not finding.well]


def test_the_doctor_finds_nothing_wrong_with_a_healthy_system():
    """Nor with one that drains a shard because an operator wants it to."""
    assert sick(system_findings(body(shard()))) == []
    draining = body(shard(state="draining", weight=0.5), unsettled=2, operation=DRAIN)
    assert sick(system_findings(draining)) == []


def test_the_doctor_names_what_is_wrong():
    """Silent, late, shedding and failing shards, ownerless partitions, a failed operation."""
    found = sick(
        system_findings(
            body(
                shard("a", lag_ms=300.0, shedding=True, failed_games=1, partitions=[]),
                shard("b", state="silent"),
                unsettled=2,
                operation={**DRAIN, "state": "failed", "left": 0, "detail": "b hangs"},
            )
        )
    )
    assert found == [
        "partitions without an owner: 2",
        "partitions that aren't where they belong: 2",
        "the newest operation: drain failed: b hangs",
        "a: event loop lag 300.0 ms",
        "a: turns new games away, so that moves go on",
        "a: 1 games in quarantine",
        "b: silent, weight 1",
    ]
