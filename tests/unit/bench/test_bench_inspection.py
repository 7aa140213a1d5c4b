"""A fault run's verdict, with a server that lies: each lie is counted once, as what it is."""

import asyncio
from pathlib import Path
from time import perf_counter

import pytest
from bench_doctored import Doctored

from bench.faults.inspection import Inspection, Run
from bench.gaps import Window
from bench.hall import Hall, HallJob
from bench.saboteur import Round
from bench.scripts import Script

SCRIPT = Script(
    "s", "standard", None, "white", ("e2e4", "e7e5") * 200, None, "aborted", False, None
)
KINDS = ("lost", "duplicated", "forked", "charged", "unanswered")


async def play(hall: Hall, server: Doctored) -> None:
    """Play until every game has moves behind its trick, and rest."""
    await hall.prepare()
    hall.begin(perf_counter(), float("inf"))
    while min(len(game.moves) for game in server.games.values()) < 4:
        await asyncio.sleep(0.005)
    await hall.rest(1.0)  # a game that was lied to may never come to rest
    await hall.finish()


def inspected(trick: str, folder: Path) -> tuple[Run, Run]:
    """Two verdicts on one game of three that is tampered with: at once, and when asked again."""
    ledger = folder / "ledger"
    ledger.touch()
    runs = Run(1, 1, "f", "kafka"), Run(2, 1, "f", "kafka")
    with Doctored((trick, "honest", "honest"), {}) as server:
        job = HallJob(
            server.url, 3, (SCRIPT,), 100, ledger=ledger, per_socket=2, users=2, clock=(600, 0)
        )
        begun = perf_counter()
        asyncio.run(play(job(), server))
        inspection = Inspection(server.url, ledger, partitions=1)
        one = Round("f", 1, window=Window(begun, perf_counter()), partitions={0})
        inspection.inspect(runs[0], one)
        inspection.inspect_all(runs[1])
        inspection.close()
    return runs


@pytest.mark.parametrize(
    ("trick", "kind"),
    [
        ("honest", ""),
        ("lost", "lost"),
        ("repeated", "duplicated"),
        ("disordered", "duplicated"),
        ("differing", "forked"),
        ("twin", "forked"),
        ("charged", "charged"),
    ],
)
def test_a_lie_is_counted_as_what_it_is(trick: str, kind: str, tmp_path: Path) -> None:
    """One game of three is tampered with: its run is bad in just that way, and the next is good."""
    first, again = inspected(trick, tmp_path)
    assert [each for each in KINDS if getattr(first, each)] == ([kind] if kind else [])
    assert bool(first.found) is bool(kind)
    assert again.good
    assert first.moves >= 3
    assert first.unavailable_ms is not None


def test_an_event_that_never_came_is_lost(tmp_path: Path) -> None:
    """A socket that went on without an event has lost it, though the log has it."""
    first, _ = inspected("missed", tmp_path)
    assert first.lost
    assert not first.duplicated + first.forked + first.charged
