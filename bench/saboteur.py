"""Strikes a system under load, fault by fault, and writes down when: in a thread of the parent.

It waits before each blow until every partition is served, so that faults don't pile up, and after
it until that is so again. Where a fault finds nobody to hit, the round says so and hits nobody.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from time import perf_counter, sleep

from bench.faults.harm import Harm, Tools, harm
from bench.faults.kinds import Blow, Fault
from bench.faults.plan import chance
from bench.faults.victims import NobodyError, Victim, choose, complete, owners, whole
from bench.gaps import NEVER, Window
from bench.parts import Shards
from bench.proc import command, stats
from bench.server import UnreachableError, shards
from bench.target import Target

_POLL_SECONDS = 0.2
_ASK_SECONDS = 3.0
_STALE_SECONDS = 1.0
_BETWEEN_SECONDS = 0.5
"""Blows of one fault come within so long."""
_SAID = 300


@dataclass(frozen=True)
class Timing:
    """When the saboteur does what, in seconds.

    Attributes:
        settle: Between one fault's end and the next blow; up to a second more is drawn.
        watch: A fault's window lasts so long at least.
        stopped: What can be undone (a stopped process is continued) is undone after so long; up to
            `stopped_more` more is drawn.
        zombie: What a process that was woken may still say, it says by then.
        shards: So many serve before a blow, lest it hit the only one, and everybody else is there;
            0: that isn't waited for.
        patience: So long it waits for every partition to be served.
    """

    settle: float = 2.0
    watch: float = 8.0
    stopped: float = 10.0
    stopped_more: float = 0.0
    zombie: float = 3.0
    shards: int = 0
    patience: float = 60.0


@dataclass
class Round:
    """One fault, or one command of an operator.

    Attributes:
        number: Of the run, from 1: with the seed it says what was done, to whom and when.
        what: The fault's kind, or the command.
        planned: Whether it's a command.
        victim: Whom it hit; empty if nobody.
        window: What belongs to it; times of time.perf_counter().
        partitions: Whose games it hit: the victim's, and all whose owner or epoch changed.
        moved: How many partitions have another owner afterwards.
        whole_after: Seconds from the blow until every partition was served; None: it wasn't seen.
        notes: What else happened, in words.
        failed: Whether the round proves nothing, or the command failed.
        begun: Whether it was begun: it isn't if the system isn't whole.
    """

    what: str
    number: int = 0
    planned: bool = False
    victim: str = ""
    window: Window = NEVER
    partitions: set[int] = field(default_factory=set[int])
    moved: int = 0
    whole_after: float | None = None
    notes: list[str] = field(default_factory=list[str])
    failed: bool = False
    begun: bool = True


class Saboteur:
    """Does all rounds in a thread of its own; then, or when it fails, calls `on_over`.

    Args:
        server: The server; it runs on this machine.
        plan: What is done, in order, by the run's number: faults, and commands as text.
        seed: Decides whom a fault hits and when.
        timing: See `Timing`.
        tools: See `Tools`.
        on_round: Called after each round; returns whether to go on.
        on_over: Called at the end.
    """

    def __init__(
        self,
        server: Target,
        plan: Sequence[tuple[int, Fault | str]],
        seed: int,
        timing: Timing,
        tools: Tools,
        on_round: Callable[[Round], bool],
        on_over: Callable[[], None],
    ) -> None:
        self._rounds: list[Round] = []
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="saboteur", daemon=True)
        self._server = server
        self._plan = plan
        self._seed = seed
        self._timing = timing
        self._tools = tools
        self._on_round = on_round
        self._on_over = on_over

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def result(self) -> list[Round]:
        """Wait for the end and return the rounds; raise what ended it before."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._rounds

    def _run(self) -> None:
        try:
            for number, what in self._plan:
                one = Round(str(what), number, planned=isinstance(what, str))
                self._round(one, what, chance(number, self._seed))
                self._rounds.append(one)
                if not self._on_round(one):
                    break
        except Exception as error:  # noqa: BLE001 -- `result` raises it again
            self._error = error
        finally:
            self._on_over()

    def _round(self, one: Round, what: Fault | str, random: Random) -> None:
        if (before := self._rested(random)) is None:
            one.failed, one.begun = True, False
            one.notes.append(
                f"not begun: not every partition is served {self._timing.patience:g} s on"
            )
            return
        try:
            if isinstance(what, Fault):
                self._strike(one, what, before, random)
            else:
                self._command(one, what, before)
        except (NobodyError, UnreachableError, OSError) as error:
            one.failed = True
            one.notes.append(f"nobody was hit: {error}")

    def _rested(self, random: Random) -> Shards | None:
        """Return GET /shards of a while after all was served again; None if it never was.

        Asked twice, since what the fault before has woken may not be itself again at once.
        """
        if self._when_whole() is None:
            return None
        sleep(self._timing.settle + random.random())
        return self._when_whole()

    def _strike(self, one: Round, fault: Fault, before: Shards, random: Random) -> None:
        lasts = self._timing.stopped + random.random() * self._timing.stopped_more
        harms: list[Harm] = []
        at = perf_counter()
        try:
            for blow, victim in self._victims(fault, before, random):
                if harms:
                    sleep(random.random() * _BETWEEN_SECONDS)
                one.victim = f"{one.victim}, {victim.name}" if one.victim else victim.name
                one.partitions |= victim.partitions
                harms.append(harm(blow.verb, victim.pids, self._tools, random))
            self._watch(one, at, before, harms, lasts if fault.lasts else None)
        finally:
            for each in harms:
                each.undo()
        one.notes += [note for each in harms for note in each.notes()]

    def _victims(self, fault: Fault, before: Shards, random: Random) -> list[tuple[Blow, Victim]]:
        """Return whom each blow hits; of several of a kind, each another one."""
        chosen: list[tuple[Blow, Victim]] = []
        of = stats()
        for blow in fault.blows:
            victim = choose(blow, before, of, command, random)
            for pid in victim.pids:
                of.pop(pid, None)
            chosen.append((blow, victim))
        return chosen

    def _command(self, one: Round, line: str, before: Shards) -> None:
        at = perf_counter()
        # The operator's own line, as they'd type it.
        with subprocess.Popen(  # noqa: S602
            line, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            said, _ = process.communicate()
        one.notes.append(f"took {perf_counter() - at:.1f} s")
        if process.returncode:
            one.failed = True
            one.notes.append(f"exit code {process.returncode}: {said.strip()[-_SAID:]}")
        self._watch(one, at, before, (), None)

    def _watch(
        self, one: Round, at: float, before: Shards, harms: Sequence[Harm], lasts: float | None
    ) -> None:
        """Wait until all is served again and the window is long enough; note who owns what.

        What lasts is undone after `lasts` seconds.
        """
        timing, whole_again = self._timing, None
        # What GET /shards says in the first moment may be from before the blow.
        sleep(max(0.0, at + _STALE_SECONDS - perf_counter()))
        over = max(at + timing.watch, perf_counter() + timing.settle)
        if lasts is not None:
            over = max(over, at + lasts + timing.zombie)
        while (now := perf_counter()) < over or (
            whole_again is None and now < over + timing.patience
        ):
            for each in harms:
                each.look()
            if lasts is not None and now >= at + lasts:
                for each in harms:
                    each.undo()
                lasts, whole_again = None, None  # what woke up may disturb the others
            if whole_again is None and (whole_again := self._ask_if_whole()) is not None:
                one.whole_after = perf_counter() - at
            sleep(_POLL_SECONDS)
        one.window = Window(at, perf_counter())
        self._compare(one, before, whole_again)

    def _compare(self, one: Round, before: Shards, after: Shards | None) -> None:
        """Note which partitions changed hands since `before`: by `after`, and by now."""
        if after is None:
            one.failed = True
            one.notes.append("not every partition is served again")
        was, now = owners(before), {}
        for found in (after, self._ask_if_whole()):
            if found is not None:
                now = owners(found)
                one.partitions |= {each for each in was if now[each] != was[each]}
        one.moved = sum(each in now and now[each][0] != was[each][0] for each in was)

    def _ask_if_whole(self) -> Shards | None:
        """Return GET /shards if every partition is served."""
        try:
            found = shards(self._server, _ASK_SECONDS)
        except UnreachableError:
            return None
        return found if whole(found) else None

    def _when_whole(self) -> Shards | None:
        """Return GET /shards once all is served, by enough shards; None after the patience."""
        until = perf_counter() + self._timing.patience
        while (found := self._ask_if_whole()) is None or not self._complete(found):
            if perf_counter() > until:
                return None
            sleep(_POLL_SECONDS)
        return found

    def _complete(self, found: Shards) -> bool:
        return not self._timing.shards or complete(found, stats(), self._timing.shards)


def outcome(one: Round) -> str:
    """Say in a line how a round went."""
    said = "; ".join([one.victim, *one.notes]).strip("; ")
    if one.failed:
        return f"{one.what}: {said}, FAILED"
    after = f"all served when asked {one.whole_after:.1f} s after" if one.whole_after else "done"
    return f"{one.what}: {said}, {after}"
