"""What the server acknowledged, written down while it happens: the evidence after a kill -9.

One line an acknowledged move: `game seq ply uci`. Several processes append to one file.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from bench.lines import LineFile, whole_lines


class Ack(NamedTuple):
    """The server has acknowledged that event `seq` of `game` is the move `uci` at `ply`."""

    game: str
    seq: int
    ply: int
    uci: str


class AckFile(LineFile):
    """Appends acknowledgements."""

    def note(self, game: str, seq: int, ply: int, uci: str) -> None:
        """Note one; it's on its way to the file with the next `flush`."""
        self.add(f"{game} {seq} {ply} {uci}\n")


def read_acks(path: Path) -> dict[str, list[Ack]]:
    """Return the file's acknowledgements by game; a last line without its end is left out.

    Raises:
        ValueError: If any other line isn't an acknowledgement.
    """
    games: dict[str, list[Ack]] = {}
    for game, seq, ply, uci in whole_lines(path):
        games.setdefault(game, []).append(Ack(game, int(seq), int(ply), uci))
    return games


class Fact(NamedTuple):
    """An event as the server tells it; `ply` is -1 and `uci` "" for all but moves.

    `mark` is when it happened and both clocks after it, by which one move that was played twice
    alike, by two owners of a game, is told apart; see `mark_of`.
    """

    seq: int
    ply: int = -1
    uci: str = ""
    type: str = ""
    mark: str = ""


def mark_of(at: str, white_ms: int | None, black_ms: int | None) -> str:
    """Return the mark of an event that says these; "" if it doesn't say when it happened."""
    return f"{at},{white_ms},{black_ms}" if at else ""


class Verdict(NamedTuple):
    """What is wrong with a game, each a list of sentences; all empty: nothing."""

    lost: list[str]
    differing: list[str]
    duplicated: list[str]

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.differing or self.duplicated)


def judge(acks: Iterable[Ack], facts: Iterable[Fact], moves: list[str]) -> Verdict:
    """Compare what was acknowledged in one game with its log and its list of moves.

    Args:
        acks: Of this game, in any order.
        facts: Every event of the game, as GET /games/{id}/events has them.
        moves: The game's own list of moves, as GET /games/{id} has it.
    """
    verdict = Verdict([], [], [])
    log = _log(facts, verdict)
    plies: dict[int, int] = {}
    for ack in acks:
        fact = log.get(ack.seq)
        if fact is None:
            verdict.lost.append(f"{ack}: no event {ack.seq}")
        elif (fact.ply, fact.uci) != (ack.ply, ack.uci):
            verdict.differing.append(f"{ack}: the log has {fact}")
        if plies.setdefault(ack.ply, ack.seq) != ack.seq:
            verdict.duplicated.append(f"{ack}: the same ply was acknowledged as {plies[ack.ply]}")
        if ack.ply >= len(moves):
            verdict.lost.append(f"{ack}: the game has {len(moves)} moves")
        elif moves[ack.ply] != ack.uci:
            verdict.differing.append(f"{ack}: the game has {moves[ack.ply]}")
    return verdict


def _log(facts: Iterable[Fact], verdict: Verdict) -> dict[int, Fact]:
    """Return the events by seq, noting in `verdict` what is wrong with the log by itself.

    A load takes no move back, so a ply that was played twice is a command that acted twice.
    """
    log: dict[int, Fact] = {}
    plies: set[int] = set()
    for fact in facts:
        if fact.seq in log:
            verdict.duplicated.append(f"event {fact.seq} is in the log twice")
        if fact.ply in plies:
            verdict.duplicated.append(f"ply {fact.ply} was played twice, again as {fact.seq}")
        if fact.uci:
            plies.add(fact.ply)
        log[fact.seq] = fact
    if log and sorted(log) != list(range(1, len(log) + 1)):
        verdict.lost.append(f"the log's {len(log)} events are numbered up to {max(log)}")
    return log
