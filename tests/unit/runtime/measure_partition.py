"""What a move costs in a partition: `python tests/unit/runtime/measure_partition.py [GAMES] [ROUNDS]`.

The corpus' games are played side by side through a real `Partition` over a log in memory, so that
what's measured is the runtime and the rules alone: no socket, no database, no second process.
"""

import asyncio
import io
import sys
import time
from pathlib import Path

import chess.pgn
import msgspec
import uvloop
from memory import MemoryLog, MemoryStore

import actors.chess as behaviour
from actors.chess.commands import ClockTerms, CreateGame, JoinGame, PlayMove
from runtime.behaviours import Kind
from runtime.effects import Effects
from runtime.opening import open_partition
from runtime.partition import Partition, Surroundings
from runtime.saving import Loader, Saver
from runtime.settings import ShardSettings
from runtime.wire import CommandIn, RefusedOut

CORPUS = Path("bench/games/standard.pgn")
encode = msgspec.json.Encoder().encode


class Sink:
    """Counts answers."""

    answers = 0

    def push(self, message) -> None:
        self.answers += 1
        assert not isinstance(message, RefusedOut), message


def lines(rounds: int) -> list[list[str]]:
    """The moves of the corpus' games that are long enough."""
    text, found = io.StringIO(CORPUS.read_text()), []
    while (game := chess.pgn.read_game(text)) is not None:
        moves = [move.uci() for move in game.mainline_moves()]
        if len(moves) > rounds:
            found.append(moves)
    return found


async def run(games: int, rounds: int) -> None:
    loop, store, settings = asyncio.get_running_loop(), MemoryStore(), ShardSettings()
    kind = Kind(behaviour)
    kind.agreed = kind.version
    saver = Saver(store, settings)
    saving = asyncio.create_task(saver.run())
    around = Surroundings(loop, {kind.name: kind}, MemoryLog(), store, Loader(store), saver,
        Effects(None, loop.create_task), settings, loop.create_task,
        lambda partition: None, lambda: False, lambda: asyncio.sleep(0))  # fmt: skip
    partition: Partition = await open_partition(0, 1, "measure", around)
    sink, found = Sink(), lines(rounds)
    asks = 0

    def ask(game: str, user: str, name: str, command) -> None:
        nonlocal asks
        asks += 1
        key = f"{game[:6]}{asks:06x}"
        body = encode(command)
        partition.command(
            sink, CommandIn(asks, 0, game, name, body, user, key, "chess", name == "create", 2, 0)
        )

    async def wave() -> None:
        while sink.answers < asks:
            await asyncio.sleep(0)

    names = [f"g{n:015x}" for n in range(games)]
    for name in names:
        ask(name, "w" + name[1:], "create", CreateGame(color="white", clock=ClockTerms(initial=600, increment=5)))  # fmt: skip
    await wave()
    for name in names:
        ask(name, "b" + name[1:], "join", JoinGame())
    await wave()
    spent = time.process_time()
    played = asks
    for ply in range(rounds):
        for n, name in enumerate(names):
            ask(name, "wb"[ply % 2] + name[1:], "move", PlayMove(uci=found[n % len(found)][ply], ply=ply))  # fmt: skip
        await wave()
    spent = time.process_time() - spent
    print(f"{asks - played} moves, {spent / (asks - played) * 1e6:.1f} us each")  # noqa: T201
    saving.cancel()


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    uvloop.run(run(*numbers) if numbers else run(1000, 40))
