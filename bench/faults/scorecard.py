"""What many fault runs come to: a table for people, a page of it, and the runs as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from bench.faults.inspection import TOLERANCE_S, Run
from bench.gaps import percentile

HEAD = (
    "fault", "log", "runs", "unavailable p50", "max", "lost", "duplicated", "forked",
    "clock charged", "unanswered",
)  # fmt: skip


class Played(Struct):
    """A number of runs that were done by one command.

    Attributes:
        command: The command line.
        runs: In order.
    """

    command: str
    runs: list[Run]


def read(path: Path) -> list[Played]:
    """Return what `write` has written before; nothing if there's no such file.

    Raises:
        ValueError: If it's something else.
    """
    if not path.exists():
        return []
    return msgspec.json.decode(path.read_bytes(), type=list[Played])


def rows(runs: Sequence[Run]) -> list[tuple[str, ...]]:
    """Return a line for each fault and log, in the order of the words, and one for all of them.

    A run that hit nobody, or didn't begin, isn't counted.
    """
    done = [run for run in runs if not _hit_nobody(run)]
    kinds = sorted({(run.fault.count("+"), run.fault, run.log) for run in done})
    table = [
        _row(fault, log, [run for run in done if (run.fault, run.log) == (fault, log)])
        for _, fault, log in kinds
    ]
    return [*table, _row("all", "", done)] if done else []


def _hit_nobody(run: Run) -> bool:
    return run.failed and not run.victim


def _row(fault: str, log: str, runs: Sequence[Run]) -> tuple[str, ...]:
    waits = sorted(run.unavailable_ms for run in runs if run.unavailable_ms is not None)
    sums = (
        sum(getattr(run, kind) for run in runs)
        for kind in ("lost", "duplicated", "forked", "charged", "unanswered")
    )
    return (
        fault, log, str(sum(run.number > 0 for run in runs)), _seconds(percentile(waits, 50)),
        _seconds(percentile(waits, 100)), *(str(each) for each in sums),
    )  # fmt: skip


def _seconds(ms: float) -> str:
    return f"{ms / 1e3:.2f} s" if ms == ms else "-"  # noqa: PLR0124 -- nan isn't itself


def page(played: Sequence[Played], before: str = "") -> str:
    """Return the scorecard as a page of Markdown; what people wrote above it `before` stays."""
    about = before.partition(_BEGIN)[0] or _ABOUT.format(tolerance=TOLERANCE_S) + "\n"
    runs = [run for each in played for run in each.runs]
    commands = "\n".join(f"    {line}" for line in dict.fromkeys(each.command for each in played))
    lines = [f"| {' | '.join(row)} |" for row in (HEAD, ["---"] * len(HEAD), *rows(runs))]
    moves = sum(run.moves for run in runs)
    done = sum(run.number > 0 and not _hit_nobody(run) for run in runs)
    failed = [run for run in runs if run.failed]
    wrong = [run for run in runs if not run.good]
    return "\n".join(
        [
            about + _BEGIN,
            f"{done} runs, {moves:,} acknowledged moves.\n",
            *lines,
            "\n## Runs with findings\n",
            *(_told(wrong) or ["None.\n"]),
            "\n## Runs that prove nothing\n",
            *(_told(failed) or ["None.\n"]),
            f"\n## Commands\n\n{commands}\n",
        ]
    )


def _told(runs: Sequence[Run]) -> list[str]:
    return [
        f"* seed {run.seed}, run {run.number}, {run.fault} ({run.log}): "
        + "; ".join([run.victim, *run.notes, *run.found[:3]]).strip("; ")
        for run in runs
    ]


_BEGIN = "## Scorecard\n"
_ABOUT = """# Faults survived

`gameshard bench faults` starts a system of its own (two shards, two gateways, the real services),
plays games on it at a fixed pace and does one fault after the other to it. After each, once every
partition is served again and every command has its answer, the load rests and everything is
compared: each acknowledgement and each event that came to any socket, in its order and with its
time and clocks, with the history (`GET /games/{{id}}/events`) and with the game (`GET
/games/{{id}}`). At the end of a command all of its games are compared once more, and some with
what the log and the snapshots themselves have (`gameshard replay`).

* **unavailable** is the slowest command of any game around the fault, from when it was due until
  the mover's own socket had its event, run by run.
* **lost**: acknowledged or seen, and not in the history or the game (or, of games looked up there,
  in the log); or never come to a socket that
  followed the game.
* **duplicated**: come to a socket twice or out of order, or a command that acted twice.
* **forked**: two sockets, or a socket and the log, or the log and the game, have different events
  under one number.
* **clock charged**: a move that cost its player over {tolerance:g} s more than they had between
  seeing the move before and sending theirs, without the time in which nobody answered for the
  game.
* **unanswered**: a command without an answer 30 s after the fault was over.

A run can be done again by its number: `gameshard bench faults --seed SEED --first NUMBER --rounds
1` with the same list of faults does the same, at the same moments of its plan, to the same of
several processes.
"""


def write(path: Path, json: Path, played: Sequence[Played]) -> None:
    """Write the page and, for the next time, all runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    json.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(played, path.read_text() if path.exists() else ""))
    each = b",\n".join(msgspec.json.encode(one) for one in played)
    json.write_bytes(b"[" + each.replace(b'{"number"', b'\n{"number"') + b"]\n")
