"""After each fault: is everything that clients heard what the server has now?"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from bench.charges import Charge, charges
from bench.comparison import compare
from bench.gaps import gaps_in, silences
from bench.ledger import Evidence
from bench.lines import LineReader
from bench.partitions import partition_of
from bench.record import Record
from bench.saboteur import Round
from bench.sightings import Findings

AFTERWARDS = "all of them, afterwards"
"""In place of a fault: what was found when all was over. Its number is 0."""
TOLERANCE_S = 1.0
"""A charge may exceed what the player saw by so much: the way to and from a busy machine."""
_KEPT = 20


class Run(Struct, omit_defaults=True):
    """One fault run: what was done, and what came of it.

    Attributes:
        number, seed: By which it can be done again.
        log: Where events were kept: "kafka" or "postgres".
        unavailable_ms: The slowest command around the fault, from when it was due to its event.
        moves: Acknowledged while it was done.
        moved: Partitions that had another owner afterwards.
        refused: Commands that were refused at first ("unavailable"), and sent again.
        lost: Acknowledged or seen events that the server hasn't got, or that a socket never got.
        duplicated: Events that came to a socket twice or out of order, and commands acted on twice.
        forked: Events that differ between two sockets, or from the log or the game.
        charged: Moves whose clock was charged for an outage.
        unanswered: Commands that got no answer within the patience.
        failed: Whether nobody was hit, or it didn't become whole again.
    """

    number: int
    seed: int
    fault: str
    log: str
    victim: str = ""
    notes: list[str] = []
    unavailable_ms: float | None = None
    moves: int = 0
    moved: int = 0
    refused: int = 0
    lost: int = 0
    duplicated: int = 0
    forked: int = 0
    charged: int = 0
    unanswered: int = 0
    failed: bool = False
    found: list[str] = []

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.duplicated or self.forked or self.charged or self.unanswered)

    def add(self, findings: Findings) -> None:
        """Count what was found."""
        self.lost += len(findings.lost) + len(findings.missed)
        self.duplicated += len(findings.repeated) + len(findings.disordered)
        self.forked += len(findings.differing) + len(findings.forked)
        self.found = (self.found + findings.sentences())[:_KEPT]


class Inspection:
    """Compares as the ledger grows; what was told once isn't told again.

    Args:
        url: The server.
        ledger: Where the load notes all that its sockets are told.
        partitions: How many the server has.
    """

    def __init__(self, url: str, ledger: Path, partitions: int) -> None:
        self.evidence = Evidence()
        self._url = url
        self._lines = LineReader(ledger)
        self._partitions = partitions
        self._done: set[str] = set()
        self._told: set[str] = set()
        self._moves = 0
        self._outages: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)
        self._charged: set[tuple[str, int]] = set()

    def inspect(self, run: Run, one: Round) -> None:
        """Read what is new, and note in `run` what's wrong with any game that was played in it."""
        found = self.evidence
        found.read(self._lines.lines())
        answers, self._moves = found.answers[self._moves :], len(found.answers)
        run.moves = len(answers)
        run.refused = sum(
            one.window.at <= each.at < one.window.until and each.what not in ("lost", "back")
            for each in found.happenings
        )
        waits = gaps_in(one.window, answers, found.owed)
        worst = max(waits.values(), default=0.0)
        run.unavailable_ms = round(worst * 1e3, 1) if math.isfinite(worst) else None
        games = {game: partition_of(game, self._partitions) for game in found.begun}
        for partition, seconds in silences(one.window, answers, games, one.partitions).items():
            if math.isfinite(seconds):
                self._outages[partition].append((one.window.at, one.window.at + seconds))
        self._compare(run, found.begun.keys() - self._done)
        self._done = set(found.left)

    def inspect_all(self, run: Run) -> None:
        """Compare every game there ever was once more, and note what's wrong in `run`."""
        self.evidence.read(self._lines.lines())
        self._compare(run, self.evidence.begun)

    def _compare(self, run: Run, games: Iterable[str]) -> None:
        too_much: list[Charge] = []
        findings = compare(
            self._url, self.evidence, games, lambda record: too_much.extend(self._charges(record))
        )
        run.add(self._new(findings))
        for each in too_much:
            if (each.game, each.ply) not in self._charged:
                self._charged.add((each.game, each.ply))
                run.charged += 1
                run.found = [*run.found, str(each)][:_KEPT]

    def _charges(self, record: Record) -> list[Charge]:
        found, game = self.evidence, record.game
        white, black = found.begun[game][1:]
        came = found.came[game]
        sent = {each.ply: each.sent for each in found.answers_of[game]}
        outages = self._outages[partition_of(game, self._partitions)]
        both = came.get(white, {}), came.get(black, {})
        all_of_them = charges(record.facts, sent, both, outages, game)
        return [each for each in all_of_them if each.excess > TOLERANCE_S]

    def _new(self, findings: Findings) -> Findings:
        fresh = Findings()
        for kind in findings.counts():
            for sentence in getattr(findings, kind):
                if (told := f"{kind}: {sentence}") not in self._told:
                    self._told.add(told)
                    getattr(fresh, kind).append(sentence)
        return fresh

    def close(self) -> None:
        """Close the ledger."""
        self._lines.close()
