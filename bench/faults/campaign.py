"""Many fault runs on one system, under one load that rests while it's looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from time import perf_counter
from typing import NamedTuple

from bench.crew import Crew, Phase
from bench.faults.inspection import AFTERWARDS, Inspection, Run
from bench.faults.kinds import Fault
from bench.faults.plan import fault_of
from bench.faults.system import System
from bench.hall import HallJob
from bench.saboteur import Round, Saboteur, Timing, outcome
from bench.screen import Screen, console
from bench.scripts import Script
from bench.server import shards
from bench.siege import SiegeJob, Truce, new_event
from bench.target import target

_TIMING = Timing(
    settle=0.3, watch=2.0, stopped=1.5, stopped_more=2.0, zombie=1.2, shards=2, patience=60.0
)  # fmt: skip
_PATIENCE_S = 30.0
_CLOCK = (10_800, 0)
"""Long, so that no flag falls by itself."""
_REPLAYED = 5
_SHOWN = 3
_PER_SOCKET = 10
_USERS = 20


class Terms(NamedTuple):
    """How it's played.

    Attributes:
        games: At a time.
        pace: Moves a second in all.
        seed: Decides everything that is left to chance.
        log: Where the system keeps its events.
        scripts: What is played.
        name: Part of every idempotency key.
    """

    games: int
    pace: float
    seed: int
    log: str
    scripts: tuple[Script, ...]
    name: str


def usable(faults: Sequence[Fault], system: System) -> list[Fault]:
    """Return those of `faults` that can be done here; say which are left out."""
    roles = {each.role for each in shards(target(system.url)).processes} | {"shard"}
    verbs = {"kill", "stop", "slow"}
    verbs |= {"cut"} if system.tools.group is not None else set()
    verbs |= {"step"} if system.tools.clocks is not None else set()
    kept: list[Fault] = []
    for fault in faults:
        if all(blow.role in roles and blow.verb in verbs for blow in fault.blows):
            kept.append(fault)
        else:
            console.print(f"*** {fault} is left out: it can't be done here ***")
    return kept


class Campaign:
    """The runs.

    Args:
        system: Who is hit.
        terms: See `Terms`.
        ledger: A file that isn't there yet.
        told: Called with each run, and again if something is found out later.
    """

    Told = Callable[[Run], None]

    def __init__(self, system: System, terms: Terms, ledger: Path, told: Told) -> None:
        self._system = system
        self._terms = terms
        self._server = target(system.url)
        self._truce = Truce(_PATIENCE_S)
        ledger.touch()
        self._ledger = ledger
        self._inspection = Inspection(system.url, ledger, shards(self._server).partitions)
        self._told = told
        self._runs: list[Run] = []
        self._until = 0.0

    def run(self, faults: Sequence[Fault], numbers: Sequence[int], until: float) -> int:
        """Do the runs of these numbers, as many as begin before `until`; return how many were done.

        They end early if the system isn't whole again.
        """
        self._until = until
        terms, over = self._terms, new_event()
        hall = HallJob(
            self._system.url, terms.games, terms.scripts, terms.pace, _USERS, ledger=self._ledger,
            per_socket=_PER_SOCKET, run=terms.name, clock=_CLOCK,
        )  # fmt: skip
        plan = [(number, fault_of(number, faults, terms.seed)) for number in numbers]
        saboteur = Saboteur(
            self._server, plan, terms.seed, _TIMING, self._system.tools, self._after, over.set
        )

        def begin(phase: str) -> None:
            if phase:
                saboteur.start()

        with Crew([SiegeJob(hall, over, self._truce)]) as crew:
            with Screen("faults", "moves", lambda tally: tally.histogram("mover").count) as screen:
                crew.prepare()
                phase = Phase("faults", float("inf"))
                results = crew.run([phase], screen.update, begin)
            crew.finish()
        saboteur.result()
        done = len(self._runs)
        # Which fault did it isn't known any more.
        last = Run(0, terms.seed, AFTERWARDS, terms.log)
        for what, count in results[0].tally.wrong.items():
            last.found.append(f"noticed live: {what} x{count}")
            last.forked += count
        self._look_again(last)
        self._told(last)
        return done

    def _after(self, one: Round) -> bool:
        """Have the load rest, and compare; return whether the system is fit for the next run."""
        run = Run(
            one.number, self._terms.seed, one.what, self._terms.log, one.victim, one.notes,
            failed=one.failed, moved=one.moved,
        )  # fmt: skip
        if not one.begun:
            return self._never_whole(run)
        self._runs.append(run)
        run.unanswered = self._truce.make()
        self._inspection.inspect(run, one)
        if run.lost or run.forked:
            self._ask_stores(run)
        self._truce.end()
        if not run.moves:
            run.failed = True
            run.notes.append("no move was made")
        self._told(run)
        console.print(f"{one.number}. {outcome(one)}; {_verdict(run)}", markup=False)
        fit = not (run.failed and run.victim) and not run.unanswered
        return fit and perf_counter() < self._until

    def _never_whole(self, run: Run) -> bool:
        """The run before has left a system that doesn't come back: the next one gets another."""
        if self._runs:
            self._runs[-1].failed = True
            self._runs[-1].notes.append("the system was never whole again")
            self._told(self._runs[-1])
        else:
            self._runs.append(run)
            self._told(run)
        return False

    def _ask_stores(self, run: Run) -> None:
        """Note what the stores themselves have of some games that something is wrong with."""
        text = " ".join(run.found)
        games = [game for game in self._inspection.evidence.begun if game in text]
        for game in games[:_SHOWN]:
            run.found.append(f"replay of {game} just then: {self._system.replay(game).said}")

    def _look_again(self, last: Run) -> None:
        """Compare all games once more, and some with what the stores themselves have."""
        self._inspection.inspect_all(last)
        evidence = self._inspection.evidence
        games = sorted(evidence.begun)
        for game in Random(self._terms.seed).sample(games, min(_REPLAYED, len(games))):
            replayed = self._system.replay(game)
            if not replayed.well:
                last.forked += 1
                last.found.append(f"replay of {game}: {replayed.said}")
            seen = [fact.seq for facts in evidence.seen[game].values() for fact in facts]
            # What GET shows may come from snapshots; the log must have it all the same.
            newest = max(seen, default=0)
            if lacks(replayed.logged, newest) and (
                lacking := lacks([*replayed.logged, *self._system.waiting(game)], newest)
            ):
                last.lost += len(lacking)
                last.found.append(f"the log lacks seq {lacking[:_SHOWN]} of {game}")
        self._inspection.close()


def lacks(logged: Sequence[int], newest: int) -> list[int]:
    """Return which of the seqs 1 to `newest` a young log hasn't got."""
    return sorted(set(range(1, newest + 1)) - set(logged))


def _verdict(run: Run) -> str:
    wait = "?" if run.unavailable_ms is None else f"{run.unavailable_ms:,.0f}"
    bad = {
        kind: count
        for kind in ("lost", "duplicated", "forked", "charged", "unanswered")
        if (count := getattr(run, kind))
    }
    said = ", ".join(f"{kind} {count}" for kind, count in bad.items()) or "nothing is wrong"
    return f"{run.moves:,} moves, slowest {wait} ms, {said}"
