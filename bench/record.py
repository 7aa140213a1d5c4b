"""What the server has of a game afterwards: its log and its list of moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import NamedTuple, TypeVar

import msgspec

from bench.acks import Fact, mark_of
from bench.http import Pool, UnansweredError
from bench.target import target

_READERS = 16
T = TypeVar("T")


class _Event(msgspec.Struct):
    seq: int
    type: str = ""
    ply: int = -1
    uci: str = ""
    at: str = ""
    white_ms: int | None = None
    black_ms: int | None = None

    def fact(self) -> Fact:
        """Return it as a checker looks at it."""
        mark = mark_of(self.at, self.white_ms, self.black_ms)
        return Fact(self.seq, self.ply, self.uci, self.type, mark)


class _Events(msgspec.Struct):
    events: list[_Event]


class _Game(msgspec.Struct):
    moves: list[str]


class Record(NamedTuple):
    """A game as GET /games/{id}/events and GET /games/{id} have it; `error` says why not."""

    game: str
    facts: list[Fact]
    moves: list[str]
    error: str = ""


async def records(url: str, games: Iterable[str]) -> AsyncIterator[Record]:
    """Yield the record of every game, as they come."""
    pool = Pool(target(url), _READERS)
    left = iter(games)
    done: asyncio.Queue[Record | None] = asyncio.Queue(64)

    async def some() -> None:
        for game in left:
            await done.put(await _record(pool, game))
        await done.put(None)

    readers = [asyncio.ensure_future(some()) for _ in range(_READERS)]
    reading = len(readers)
    try:
        while reading:
            record = await done.get()
            if record is None:
                reading -= 1
            else:
                yield record
        await asyncio.gather(*readers)
    finally:
        for reader in readers:
            reader.cancel()
        pool.close()


def judge_all(url: str, games: Iterable[str], judge: Callable[[Record], T]) -> list[T]:
    """Read every game and return what `judge` makes of each."""

    async def run() -> list[T]:
        return [judge(record) async for record in records(url, games)]

    return asyncio.run(run())


async def _record(pool: Pool, game: str) -> Record:
    try:
        return Record(game, await _facts(pool, game), await _moves(pool, game))
    except UnansweredError as error:
        return Record(game, [], [], f"{game}: {error}")


async def _facts(pool: Pool, game: str) -> list[Fact]:
    """Return every event of the game; the server may give them in several pages."""
    facts: list[Fact] = []
    while True:
        after = facts[-1].seq if facts else 0
        answer = await pool.call("GET", f"/games/{game}/events?after={after}")
        if answer.status != 200:
            raise UnansweredError(f"the events of {game}", answer)
        page = msgspec.json.decode(answer.body, type=_Events).events
        facts += [event.fact() for event in page]
        if not page or page[-1].seq <= after:
            return facts


async def _moves(pool: Pool, game: str) -> list[str]:
    answer = await pool.call("GET", f"/games/{game}")
    if answer.status != 200:
        raise UnansweredError(game, answer)
    return msgspec.json.decode(answer.body, type=_Game).moves
