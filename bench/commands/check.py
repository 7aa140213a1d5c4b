"""`gameshard bench check`: is everything that was acknowledged still there?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.acks import Verdict, judge, read_acks
from bench.commands.options import URL, Json, Url
from bench.record import Record, judge_all
from bench.results import write
from bench.screen import console, grid

_SHOWN = 20


def check(
    acks: Annotated[Path, typer.Option(help="What `bench moves --acks` wrote.", exists=True)],
    url: Url = URL,
    json: Json = None,
) -> None:
    """Compare every acknowledgement with the log and the game as the server has them now.

    Exits with 1 if a move is lost, is another one, or was played twice.
    """
    noted = read_acks(acks)

    def verdict(record: Record) -> Verdict:
        if record.error:
            return Verdict([record.error], [], [])
        return judge(noted[record.game], record.facts, record.moves)

    verdicts = judge_all(url, noted, verdict)
    found = {
        kind: [line for v in verdicts for line in getattr(v, kind)] for kind in Verdict._fields
    }
    total = sum(len(each) for each in noted.values())
    rows = [("acknowledged moves", f"{total:,}"), ("games", f"{len(noted):,}")]
    rows += [(kind, f"{len(lines):,}") for kind, lines in found.items()]
    console.print(grid("acknowledged, and now", ("", "count"), rows))
    for line in [line for lines in found.values() for line in lines][:_SHOWN]:
        console.print(f"  {line}")
    counts = {kind: len(lines) for kind, lines in found.items()}
    write("check", {"url": url, "acknowledged": total, "games": len(noted)} | counts, json)
    raise typer.Exit(1 if any(counts.values()) else 0)
