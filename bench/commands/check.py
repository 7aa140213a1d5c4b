"""`gameshard bench check`: is everything that was acknowledged still there?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from bench.acks import Ack, Fact, Verdict, judge, read_acks
from bench.commands.options import URL, Json, Url
from bench.http import Pool, UnansweredError
from bench.results import write
from bench.screen import console, grid
from bench.target import target

_SHOWN = 20


class _Event(msgspec.Struct):
    seq: int
    ply: int = -1
    uci: str = ""


class _Events(msgspec.Struct):
    events: list[_Event]


class _Game(msgspec.Struct):
    moves: list[str]


def check(
    acks: Annotated[Path, typer.Option(help="What `bench moves --acks` wrote.", exists=True)],
    url: Url = URL,
    json: Json = None,
) -> None:
    """Compare every acknowledgement with the log and the game as the server has them now.

    Exits with 1 if a move is lost, is another one, or was played twice.
    """
    noted = read_acks(acks)
    verdicts = asyncio.run(_judge_all(url, noted))
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


async def _judge_all(url: str, noted: dict[str, list[Ack]]) -> list[Verdict]:
    pool = Pool(target(url), 16)
    left = iter(noted.items())
    verdicts: list[Verdict] = []

    async def some(left: Iterator[tuple[str, list[Ack]]]) -> None:
        for game, acks in left:
            verdicts.append(await _judge(pool, game, acks))

    await asyncio.gather(*(some(left) for _ in range(16)))
    pool.close()
    return verdicts


async def _judge(pool: Pool, game: str, acks: Iterable[Ack]) -> Verdict:
    try:
        return judge(acks, await _facts(pool, game), await _moves(pool, game))
    except UnansweredError as error:
        return Verdict([f"{game}: {error}"], [], [])


async def _facts(pool: Pool, game: str) -> list[Fact]:
    """Return every event of the game; the server may give them in several pages."""
    facts: list[Fact] = []
    while True:
        after = facts[-1].seq if facts else 0
        answer = await pool.call("GET", f"/games/{game}/events?after={after}")
        if answer.status != 200:
            raise UnansweredError(f"the events of {game}", answer)
        page = msgspec.json.decode(answer.body, type=_Events).events
        facts += [Fact(event.seq, event.ply, event.uci) for event in page]
        if not page or page[-1].seq <= after:
            return facts


async def _moves(pool: Pool, game: str) -> list[str]:
    answer = await pool.call("GET", f"/games/{game}")
    if answer.status != 200:
        raise UnansweredError(game, answer)
    return msgspec.json.decode(answer.body, type=_Game).moves
