"""What `gameshard bench recovery` found: compared, printed and written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.aftermath import Measured, figures, rows
from bench.comparison import compare
from bench.ledger import Evidence
from bench.results import write
from bench.screen import console, grid
from bench.sightings import Findings
from bench.tally import Tally
from bench.target import Target

_SHOWN = 20
_KEPT = 1000
_GAPS = ("fault", "of what, ms", "count", "p50", "p99", "max", "never")


def report(
    server: Target,
    head: dict[str, Any],
    measured: Sequence[Measured],
    tally: Tally,
    found: Evidence,
    json: Path | None,
) -> int:
    """Read every game back, compare, print and write; return the exit code."""
    sockets = {socket for _, *both in found.begun.values() for socket in both}
    console.print(grid("gaps", _GAPS, rows(measured)))
    for one in measured:
        _say(one, len(sockets))
    findings = compare(server.url, found, found.begun)
    heard = {
        "acknowledged": sum(len(each) for each in found.acks.values()),
        "seen": sum(len(each) for game in found.seen.values() for each in game.values()),
        "games": len(found.begun),
        "sockets": len(sockets),
        "never_answered": len(found.owed),
    }
    _show(heard, findings, tally)
    whats = dict.fromkeys(one.round.what for one in measured)
    body = {
        "rounds": [one.summary() for one in measured],
        "together": {
            what: figures([one for one in measured if one.round.what == what]) for what in whats
        },
        "heard": heard,
        "compared": findings.counts(),
        "findings": findings.sentences()[:_KEPT],
    }
    write("recovery", head | body | tally.summary(), json)
    if not findings.good or tally.wrong:
        return 1
    return 3 if any(one.round.failed for one in measured) or not measured else 0


def _say(one: Measured, sockets: int) -> None:
    errors = ", ".join(f"{code} {count:,}" for code, count in one.errors.items()) or "none"
    notes = "; ".join([one.round.victim, *one.round.notes]).strip("; ")
    console.print(
        f"{one.round.what}: {notes}; {len(one.round.partitions)} partitions hit, "
        f"{one.round.moved} with another owner; {sockets - one.reopened:,} sockets stayed open, "
        f"{one.reopened:,} were reopened; client errors: {errors}",
        markup=False,
    )


def _show(heard: dict[str, int], findings: Findings, tally: Tally) -> None:
    live = {f"noticed live: {what}": count for what, count in tally.wrong.items()}
    lines = heard | findings.counts() | live
    table = [(what.replace("_", " "), f"{count:,}") for what, count in lines.items()]
    console.print(grid("what clients heard, and what is stored", ("", "count"), table))
    for line in findings.sentences()[:_SHOWN]:
        console.print(f"  {line}", markup=False)
