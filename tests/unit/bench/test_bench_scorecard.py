"""A scorecard adds its runs up, and keeps them for the next time."""

from pathlib import Path

import pytest

from bench.faults.inspection import Run
from bench.faults.scorecard import Played, page, read, rows, write
from bench.sightings import Findings

RUNS = [
    Run(1, 7, "shard-kill", "kafka", "shard-0", unavailable_ms=500.0, moves=10),
    Run(2, 7, "shard-kill", "kafka", "shard-1", unavailable_ms=1500.0, moves=10, lost=2, found=["lost: x"]),
    Run(3, 7, "shard-kill", "postgres", "shard-1", unavailable_ms=250.0, moves=10),
    Run(4, 7, "valkey-kill", "kafka", failed=True, notes=["nobody was hit"]),
]  # fmt: skip


def test_runs_of_a_kind_stand_in_one_line() -> None:
    """Each fault on each log has a line; who hit nobody counts nowhere; the last line is the sum."""
    assert [row[:6] for row in rows(RUNS)] == [
        ("shard-kill", "kafka", "2", "0.50 s", "1.50 s", "2"),
        ("shard-kill", "postgres", "1", "0.25 s", "0.25 s", "0"),
        ("all", "", "3", "0.50 s", "1.50 s", "2"),
    ]
    assert rows([]) == []


def test_a_page_tells_what_was_wrong_and_what_proved_nothing() -> None:
    """Runs with findings and runs that failed are named with seed and number."""
    text = page([Played("gameshard bench faults --seed 7", RUNS)])
    assert "* seed 7, run 2, shard-kill (kafka): shard-1; lost: x" in text
    assert "* seed 7, run 4, valkey-kill (kafka): nobody was hit" in text
    assert "    gameshard bench faults --seed 7" in text
    assert "3 runs, 30 acknowledged moves" in text


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """Appending begins with what is there, or with nothing."""
    played = [Played("one", RUNS[:2]), Played("two", RUNS[2:])]
    assert read(tmp_path / "j") == []
    write(tmp_path / "folder" / "page", tmp_path / "j", played)
    assert read(tmp_path / "j") == played
    assert (tmp_path / "folder" / "page").read_text() == page(played)
    (tmp_path / "j").write_text("{}")
    with pytest.raises(ValueError, match="array"):
        read(tmp_path / "j")


def test_findings_are_counted_by_what_they_mean() -> None:
    """A socket that never got an event has lost it; disorder is duplication; what differs is a fork."""
    run = Run(1, 1, "f", "kafka")
    assert run.good
    run.add(Findings(["a"], ["b"], ["c"], ["d"], ["e"], ["f"]))
    assert (run.lost, run.duplicated, run.forked, run.good) == (2, 2, 2, False)
    assert len(run.found) == 6


def test_what_people_wrote_above_the_scorecard_stays(tmp_path: Path) -> None:
    """A second writing changes the scorecard and what follows it, and nothing before."""
    write(tmp_path / "page", tmp_path / "j", [Played("one", RUNS[:1])])
    first = (tmp_path / "page").read_text()
    (tmp_path / "page").write_text(first.replace("## Scorecard", "Ours.\n\n## Scorecard"))
    write(tmp_path / "page", tmp_path / "j", [Played("one", RUNS[:3])])
    second = (tmp_path / "page").read_text()
    assert "\nOurs.\n\n## Scorecard\n" in second
    assert "3 runs, 30 acknowledged moves" in second
    assert "1 runs" not in second
