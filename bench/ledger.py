"""Everything that the sockets of a load were told, written down while it happens, with its time.

Times are seconds of time.perf_counter(), one clock for all processes of a machine. One line each,
a letter first:

    o AT GAME SOCKET SOCKET                   a game begins, followed over these two sockets
    s AT SOCKET GAME SEQ TYPE PLY UCI MARK    a socket saw an event ("-" for no move, no mark)
    a AT SOCKET GAME SEQ ID                   a socket was told that its command was accepted
    m AT DUE SENT GAME SEQ PLY UCI            the mover has its event: the move is acknowledged
    r AT SOCKET GAME CODE                     a socket was refused something
    l AT SOCKET                               a socket was lost
    b AT SOCKET                               a socket is there again
    w DUE GAME                                a command was never answered
    e AT GAME                                 both players leave a game, and follow it no more
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from bench.acks import Ack, Fact, mark_of
from bench.lines import LineFile, whole_lines
from bench.seat import Frame


class Ledger(LineFile):
    """Appends to the file."""

    def opened(self, game: str, sockets: tuple[int, int]) -> None:
        """Note that a game begins."""
        self.add(f"o {perf_counter():.6f} {game} {sockets[0]} {sockets[1]}\n")

    def told(self, socket: int, frame: Frame) -> None:
        """Note what a socket was told, if it is an event or an answer."""
        kind, seq = frame.type, frame.seq
        if kind == "accepted":
            self.add(f"a {perf_counter():.6f} {socket} {frame.game} {seq} {frame.id}\n")
        elif kind == "rejected":
            self.add(f"r {perf_counter():.6f} {socket} {frame.game or '-'} {frame.code or '-'}\n")
        elif seq and kind not in ("resumed", "snapshot", "presence"):
            mark = mark_of(frame.at, frame.white_ms, frame.black_ms)
            self.add(
                f"s {perf_counter():.6f} {socket} {frame.game} {seq} {kind} {frame.ply}"
                f" {frame.uci or '-'} {mark or '-'}\n"
            )

    def moved(self, due: float, sent: float, frame: Frame) -> None:
        """Note that a move's mover has its event: it was due at `due` and first sent at `sent`."""
        self.add(
            f"m {perf_counter():.6f} {due:.6f} {sent:.6f}"
            f" {frame.game} {frame.seq} {frame.ply} {frame.uci}\n"
        )

    def lost(self, socket: int) -> None:
        """Note that a socket was lost."""
        self.add(f"l {perf_counter():.6f} {socket}\n")

    def back(self, socket: int) -> None:
        """Note that a socket is there again."""
        self.add(f"b {perf_counter():.6f} {socket}\n")

    def left(self, game: str) -> None:
        """Note that both players follow a game no more."""
        self.add(f"e {perf_counter():.6f} {game}\n")

    def owed(self, due: float, game: str) -> None:
        """Note at the end that a command was never answered."""
        self.add(f"w {due:.6f} {game or '-'}\n")


class Answer(NamedTuple):
    """A move of `game` that was due at `due`, and first sent at `sent`, had its event at `at`."""

    due: float
    at: float
    game: str
    sent: float = 0.0
    ply: int = -1


class Happening(NamedTuple):
    """Something that a socket met at `at`: `what` is a code, or "lost" or "back"."""

    at: float
    socket: int
    what: str


@dataclass
class Evidence:
    """What a ledger holds.

    Attributes:
        begun: Game -> when it began, and its two sockets.
        seen: Game -> socket -> the events in the order in which they came, while it was followed.
        came: Game -> socket -> seq -> when that event came first.
        later: Game -> events that came after its players had left: answers to what they had asked.
        accepted: Game -> (seq, id of the command).
        acks: Game -> its acknowledged moves.
        answers: Every acknowledged move with its times.
        answers_of: The same, by game.
        happenings: Refusals, and sockets lost and found, in the order of the file.
        owed: (due, game) of what was never answered; game "-": it wasn't made.
    """

    begun: dict[str, tuple[float, int, int]] = field(
        default_factory=dict[str, tuple[float, int, int]]
    )
    seen: defaultdict[str, dict[int, list[Fact]]] = field(
        default_factory=lambda: defaultdict[str, dict[int, list[Fact]]](dict)
    )
    came: defaultdict[str, dict[int, dict[int, float]]] = field(
        default_factory=lambda: defaultdict[str, dict[int, dict[int, float]]](dict)
    )
    later: defaultdict[str, list[Fact]] = field(
        default_factory=lambda: defaultdict[str, list[Fact]](list)
    )
    accepted: defaultdict[str, list[tuple[int, str]]] = field(
        default_factory=lambda: defaultdict[str, list[tuple[int, str]]](list)
    )
    acks: defaultdict[str, list[Ack]] = field(
        default_factory=lambda: defaultdict[str, list[Ack]](list)
    )
    answers: list[Answer] = field(default_factory=list[Answer])
    answers_of: defaultdict[str, list[Answer]] = field(
        default_factory=lambda: defaultdict[str, list[Answer]](list)
    )
    happenings: list[Happening] = field(default_factory=list[Happening])
    owed: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    left: set[str] = field(default_factory=set[str])

    def opened(self, at: str, game: str, one: str, other: str) -> None:
        """Take a line of `o`."""
        self.begun[game] = (float(at), int(one), int(other))

    def saw(self, at: str, at_socket: str, game: str, number: str, kind: str, *move: str) -> None:
        """Take a line of `s`."""
        ply, uci, mark = move
        # A run's millions of sightings repeat a few words: keep each word once.
        played = "" if uci == "-" else sys.intern(uci)
        told = "" if mark == "-" else sys.intern(mark)
        seq, socket = int(number), int(at_socket)
        fact = Fact(seq, int(ply), played, sys.intern(kind), told)
        if game in self.left:
            self.later[game].append(fact)
        else:
            self.seen[game].setdefault(socket, []).append(fact)
            self.came[game].setdefault(socket, {}).setdefault(seq, float(at))

    def accept(self, _: str, __: str, game: str, seq: str, name: str) -> None:
        """Take a line of `a`."""
        self.accepted[game].append((int(seq), sys.intern(name)))

    def moved(self, at: str, due: str, sent: str, game: str, seq: str, *move: str) -> None:
        """Take a line of `m`."""
        ply, uci = move
        game = sys.intern(game)
        self.acks[game].append(Ack(game, int(seq), int(ply), sys.intern(uci)))
        answer = Answer(float(due), float(at), game, float(sent), int(ply))
        self.answers.append(answer)
        self.answers_of[game].append(answer)

    def refused(self, at: str, socket: str, _: str, code: str) -> None:
        """Take a line of `r`."""
        self.happenings.append(Happening(float(at), int(socket), sys.intern(code)))

    def lost(self, at: str, socket: str) -> None:
        """Take a line of `l`."""
        self.happenings.append(Happening(float(at), int(socket), "lost"))

    def back(self, at: str, socket: str) -> None:
        """Take a line of `b`."""
        self.happenings.append(Happening(float(at), int(socket), "back"))

    def leave(self, _: str, game: str) -> None:
        """Take a line of `e`."""
        self.left.add(game)

    def owe(self, due: str, game: str) -> None:
        """Take a line of `w`."""
        self.owed.append((float(due), game))

    def read(self, lines: Iterable[list[str]]) -> None:
        """Take the words of lines.

        Raises:
            ValueError: If one is no line of a ledger.
        """
        take: dict[str, Callable[..., None]] = {
            "o": self.opened, "s": self.saw, "a": self.accept, "m": self.moved,
            "r": self.refused, "l": self.lost, "b": self.back, "w": self.owe, "e": self.leave,
        }  # fmt: skip
        for letter, *words in lines:
            try:
                take[letter](*words)
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"no line of a ledger: {letter} {' '.join(words)}") from error


def read_ledger(path: Path) -> Evidence:
    """Return what the file holds; a last line without its end is left out.

    Raises:
        ValueError: If any other line is none of a ledger's.
    """
    found = Evidence()
    found.read(whole_lines(path))
    return found
