"""What a passivated game costs: `python tests/unit/runtime/measure_resting.py [GAMES] [PLIES]`.

It packs chess games of the corpus, each with ids, players and keys of its own, as a shard does when
nobody needs them, and reports the growth of this process (PSS) a game. Cells are packed as they
come, so that their memory is used again, as in a shard that passivates as fast as games are left.
"""

import gc
import io
import sys
from pathlib import Path

import chess.pgn
import msgspec

import actors.chess as behaviour
from actors.behaviour import Context, instant
from actors.chess.commands import ClockTerms, CreateGame, JoinGame, PlayMove
from runtime import marks
from runtime.behaviours import Kind
from runtime.cell import Cell
from runtime.resting import Resting

CORPUS = Path("bench/games/standard.pgn")
GAME, WHITE, BLACK = "gggggggggggggggg", "wwwwwwwwwwwwwwww", "bbbbbbbbbbbbbbbb"


def pss() -> int:
    """This process's share of memory, in bytes."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def histories(kind: Kind, plies: int) -> list[list[bytes]]:
    """The events of each game of the corpus that's long enough, so far."""
    text, found = io.StringIO(CORPUS.read_text()), []
    while (game := chess.pgn.read_game(text)) is not None:
        moves = [move.uci() for move in game.mainline_moves()]
        if len(moves) < plies:
            continue
        commands = [
            (WHITE, CreateGame(color="white", clock=ClockTerms(initial=600, increment=5))),
            (BLACK, JoinGame()),
            *(((WHITE, BLACK)[n % 2], PlayMove(uci=uci, ply=n)) for n, uci in enumerate(moves)),
        ]
        state, events, now = None, [], 1_790_000_000_000
        for user, command in commands[: plies + 2]:
            now += 1_000 + 137 * len(events) % 9_000
            for event in kind.decide(state, command, Context(GAME, now, user, 30, 0, 1, {})):
                event.game, event.seq, event.at = GAME, len(events) + 1, instant(now)
                state = kind.evolve(state, event)
                events.append(msgspec.json.encode(event))
        found.append(events)
    return found


def cell_of(kind: Kind, events: list[bytes], number: int) -> Cell:
    """A game of its own with these events, all saved."""
    names = [f"{letter}{number:015x}" for letter in "gwb"]
    cell = Cell(names[0], kind)
    for seq, event in enumerate(events, 1):
        for old, new in zip((GAME, WHITE, BLACK), names, strict=True):
            event = event.replace(old.encode(), new.encode())  # noqa: PLW2901
        cell.state = kind.evolve(cell.state, kind.event_decoder.decode(event))
        key = marks.mark(seq % 2, names[1 + seq % 2], str(seq), event)
        cell.marks = marks.remember(cell.marks, key, seq)
    cell.seq = cell.durable = cell.saved = len(events)
    return cell


def main(games: int, plies: int) -> None:
    """Pack `games` games and print what they take."""
    kind = Kind(behaviour)
    corpus = histories(kind, plies)
    resting = Resting({kind.name: kind})
    for number in range(1000):  # what one cell takes is there before we look
        resting.add(cell_of(kind, corpus[number % len(corpus)], number))
    gc.collect()
    before = pss()
    for number in range(1000, games + 1000):
        resting.add(cell_of(kind, corpus[number % len(corpus)], number))
    gc.collect()
    grown = (pss() - before) / games
    sys.stdout.write(f"{games:,} games at ply {plies}: {grown:.0f} bytes each\n")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:] or ("100000", "40")))
