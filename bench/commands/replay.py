"""`gameshard bench moves --replay-all FILE`: every game once, then compared with what is stored."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.commands.options import new_run
from bench.crew import Crew, Phase
from bench.endings import expected, played_as
from bench.hall import HallJob
from bench.house import Ended
from bench.http import Answer, Pool, UnansweredError
from bench.results import write
from bench.screen import console, grid
from bench.scripts import Script, read_scripts
from bench.stage import Work, perform
from bench.target import target

_WORK = Work("replay", "moves", "move", lambda tally: tally.histogram("mover").count)
_SHOWN = 20


class Stored(msgspec.Struct):
    """A game as the server has it, as far as a replay compares it."""

    moves: list[str]
    status: str
    winner: str | None = None
    termination: str | None = None


class Compared(NamedTuple):
    """One game's comparison: `how` says how it was ended, `wrong` is "" if all agrees."""

    script: Script
    game: str
    how: str
    wrong: str


def replay_all(url: str, path: Path, games: int, users: int, json: Path | None) -> int:
    """Play every game of `path` to its end, compare each; return the exit code."""
    scripts = read_scripts(path)
    job = HallJob(
        url, min(games, len(scripts)), tuple(scripts), users=users, endings=True, clocks=True,
        once=True, run=new_run(),
    )  # fmt: skip
    with Crew([job]) as crew:
        outcome = perform(url, crew, _WORK, [Phase("replay", float("inf"))])[0]
        ended: list[Ended] = crew.finish()[0]
    compared = asyncio.run(_compare_all(url, ended))
    wrong = [each for each in compared if each.wrong]
    outcome.show(_WORK)
    _show(compared)
    body = {
        "url": url,
        "file": path.name,
        "games": len(scripts),
        "played": len(compared),
        "differing": [{"script": e.script.name, "game": e.game, "wrong": e.wrong} for e in wrong],
    }
    write("replay", body | outcome.summary(), json)
    return 1 if wrong or outcome.tally.wrong or len(compared) != len(scripts) else 0


def compare(script: Script, stored: Stored) -> str:
    """Return what differs between a script and the game that was stored of it; "" for nothing."""
    if tuple(stored.moves) != script.moves:
        at = next(
            (n for n, pair in enumerate(zip(stored.moves, script.moves, strict=False))
             if pair[0] != pair[1]),
            min(len(stored.moves), len(script.moves)),
        )  # fmt: skip
        return (
            f"moves differ from ply {at} ({len(stored.moves)} stored, {len(script.moves)} played)"
        )
    if stored.status != "ended":
        return f"status {stored.status}"
    if (stored.winner, stored.termination) != expected(script):
        return f"ended {stored.winner} by {stored.termination}, not {expected(script)}"
    return ""


async def _compare_all(url: str, ended: Sequence[Ended]) -> list[Compared]:
    pool = Pool(target(url), 16)
    left = iter(ended)
    compared: list[Compared] = []

    async def some() -> None:
        for each in left:
            one = Compared(each.script, each.game, *await _compared(pool, each))
            compared.append(one)

    await asyncio.gather(*(some() for _ in range(16)))
    pool.close()
    return compared


async def _compared(pool: Pool, ended: Ended) -> tuple[str, str]:
    how = played_as(ended.script)
    if not ended.game:
        return how, "the game could not be made"
    try:
        answer: Answer = await pool.call("GET", f"/games/{ended.game}")
    except UnansweredError as error:
        return how, str(error)
    if answer.status != 200:
        return how, f"GET gives {answer.status}"
    stored = msgspec.json.decode(answer.body, type=Stored)
    if wrong := compare(ended.script, stored):
        return how, wrong
    if (ended.winner, ended.ending) != (stored.winner, stored.termination):
        return how, f"its players saw {ended.winner} by {ended.ending}"
    return how, ""


def _show(compared: Sequence[Compared]) -> None:
    good: Counter[tuple[str, str, str]] = Counter()
    bad: Counter[tuple[str, str, str]] = Counter()
    for each in compared:
        row = (each.script.variant, each.script.ending, each.how)
        (bad if each.wrong else good)[row] += 1
    rows = [(*row, good[row], bad[row]) for row in sorted(good | bad)]
    rows.append(("all", "", "", sum(good.values()), sum(bad.values())))
    head = ("variant", "ending", "how it was ended", "same", "differing")
    console.print(grid("every game, compared with what the server stored", head, rows))
    for each in [each for each in compared if each.wrong][:_SHOWN]:
        console.print(f"  {each.script.name} {each.game}: {each.wrong}")
