"""What a person sees: a live table while a bench runs, and tables of figures at its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from bench.histogram import PERCENTILES
from bench.tally import Tally

console = Console(highlight=False)
_HEAD = [*(f"p{each:g}" for each in PERCENTILES), "max"]


class Screen:
    """A live table of one run. Use it as a context manager.

    Args:
        title: What runs.
        work: What is counted, in the plural ("moves").
        done: How many of it a tally holds.
    """

    def __init__(self, title: str, work: str, done: Callable[[Tally], int]) -> None:
        self._title = title
        self._work = work
        self._done = done
        self._live = Live(console=console, refresh_per_second=2, transient=True)
        self._began = self._last = perf_counter()
        self._before = 0
        self._rate = 0.0
        self._phase = ""

    def __enter__(self) -> Self:
        self._live.start()
        self.say("connecting and fetching tokens ...")
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        """Show one line instead of the table."""
        self._live.update(f"{self._title}: {text}")

    def update(self, phase: str, tally: Tally) -> None:
        """Show the counts so far."""
        now, done = perf_counter(), self._done(tally)
        if phase != self._phase or done < self._before:
            self._phase, self._before, self._last, self._began = phase, done, now, now
        if now - self._last >= 1.0:
            self._rate = (done - self._before) / (now - self._last)
            self._before, self._last = done, now
        table = latencies(f"{self._title} · {phase} · {now - self._began:.0f} s", tally)
        table.caption = (
            f"{done:,} {self._work}, {self._rate:,.0f} a second · {_listed(tally.counts)}"
            f" · errors: {_listed(tally.errors)} · wrong: {_listed(tally.wrong)}"
        )
        self._live.update(table)


def latencies(title: str, tally: Tally) -> Table:
    """Return a table of all latencies of a tally, in milliseconds."""
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.add_column("latency, ms")
    for name in ("count", "mean", *_HEAD):
        table.add_column(name, justify="right")
    for name, histogram in tally.latencies.items():
        if histogram.count:
            figures = histogram.summary()
            table.add_row(
                name,
                f"{histogram.count:,}",
                *(f"{figures[head]:.2f}" for head in ("mean", *_HEAD)),
            )
    return table


def grid(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """Return a table whose first column is words and the others figures."""
    table = Table(title=title, title_justify="left")
    for number, name in enumerate(head):
        table.add_column(name, justify="right" if number else "left")
    for row in rows:
        table.add_row(*("" if each is None else str(each) for each in row))
    return table


def parts_table(parts: Mapping[str, Mapping[str, Any]], each: str) -> Table:
    """Return the table of `bench.parts.describe`."""
    rows = [
        (name, p["cpu_seconds"], p["cores"], p["us_each"], p["pss_mb"], p["rss_mb"])
        for name, p in parts.items()
    ]
    head = ("part", "CPU s", "cores", f"us CPU a {each}", "PSS MB", "RSS MB")
    return grid("where the CPU went", head, rows)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "none"
