"""Who shall own which partition: every decision of the coordinator, without I/O or a clock.

Tell it what happened (`beat`, `gone`, `assigned`, ...), then perform what `step` returns and tell
it the outcome. Crash, growth, drain and upgrade are one mechanism: a partition is taken over at a
higher epoch.

    released ──▶ assigned ──▶ opened         planned: the owner lives and gives the partition up
                 assigned ──▶ opened         unplanned: the owner is gone, or silent for too long

The store's row is the authority: an epoch counts once its compare-and-set is known to have
succeeded, and each is opened at most once. Beats and silence only say *when* to act. A wrong guess
costs a pause, never an event, because the log itself shuts out every older owner.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from persistence.assignments import Assignment
from runtime.formats import Agreement
from runtime.orders import Action, Assign, Beat, Kill, Open, Release
from runtime.plan import Plan, ShardPlan
from runtime.ring import place
from runtime.settings import OwnershipTiming
from runtime.table import Route, RoutingTable


@dataclass
class _Member:
    beat: Beat
    since: float
    seen: float
    killed: bool = False
    settled: bool = False
    """Whether it may have its share: it has been here for a while, or owns something."""


@dataclass
class _Move:
    """A partition on its way to the incarnation `to`; `epoch` is the one it leaves or gets."""

    stage: type[Release | Assign | Open]
    to: str
    epoch: int
    planned: bool
    until: float | None = None
    """When its stage is given up; None: it wasn't begun yet."""


@dataclass
class _Retry:
    at: float = 0.0
    pause: float = 0.0


class Ownership:
    """Membership and assignment of one cluster. Times are seconds of any clock that is given."""

    def __init__(
        self, rows: Iterable[Assignment], plan: Plan, timing: OwnershipTiming, term: int, now: float
    ) -> None:
        """Begin with what the store holds. `term` is higher than that of every coordinator before.

        Whoever owns a row counts as alive until it was silent for a while from `now` on.
        """
        self.plan = plan
        self.agreement = Agreement({})
        self.rows = list(rows)
        self._timing = timing
        self._now = now
        self._lived = 0.0
        self._members: dict[str, _Member] = {}
        self._ended: set[str] = set()
        self._served: dict[tuple[int, int], float] = {}
        self._moves: dict[int, _Move] = {}
        self._retries: dict[int, _Retry] = {}
        self._gathered = False
        self._newest = 0.0
        self._placed: dict[object, Sequence[str]] = {}
        self._whole: float | None = None
        """Since when every partition is served; None: some isn't."""
        self.table = RoutingTable(term << 32, ())
        self._publish()

    # --- what happened -----------------------------------------------------------------------

    def beat(self, now: float, beat: Beat) -> list[tuple[int, int]]:
        """Take a shard's sign of life; return what it thinks to serve, but owns no longer.

        An answer to a beat means: all the others are still yours.
        """
        self._pass(now)
        if beat.incarnation in self._ended:
            return list(beat.serving)
        known = self._members.get(beat.name)
        if known is not None and known.beat.incarnation != beat.incarnation:
            self.gone(known.beat.incarnation)
            known = None
        if known is None:
            self._members[beat.name] = _Member(beat, self._lived, self._lived)
            self._newest = self._lived
        else:
            known.beat, known.seen = beat, self._lived
        stale: list[tuple[int, int]] = []
        for partition, epoch in beat.serving:
            row = self.rows[partition]
            if (row.epoch, row.owner) == (epoch, beat.incarnation):
                self._serve(partition, epoch)
            elif epoch < row.epoch:
                stale.append((partition, epoch))
        self._forget_unserved(beat)
        return stale

    def _forget_unserved(self, beat: Beat) -> None:
        """Notice what a shard dropped although its word of it was lost."""
        serving = set(beat.serving)
        for row in self.rows:
            since = self._served.get((row.partition, row.epoch))
            if since is None or row.owner != beat.incarnation:
                continue
            if (row.partition, row.epoch) in serving:
                self._served[row.partition, row.epoch] = self._lived
            elif self._lived - since > self._timing.silence:
                self.lost(row.partition, row.epoch)

    def gone(self, incarnation: str) -> None:
        """A process has ended: that is certain."""
        self._ended.add(incarnation)
        name = incarnation.partition("/")[0]
        member = self._members.get(name)
        if member is not None and member.beat.incarnation == incarnation:
            del self._members[name]
        for row in self.rows:
            if row.owner == incarnation:
                self.lost(row.partition, row.epoch)

    def lost(self, partition: int, epoch: int) -> None:
        """An owner says that it serves no longer."""
        if self._served.pop((partition, epoch), None) is not None:
            self._whole = None

    def released(self, partition: int, epoch: int) -> None:
        """The owner gave the partition up, or didn't answer: either way it's taken over now."""
        self.lost(partition, epoch)
        move = self._moves.get(partition)
        if move is not None and (move.stage, move.epoch) == (Release, epoch):
            move.stage, move.until = Assign, None

    def assigned(self, row: Assignment) -> None:
        """A compare-and-set succeeded."""
        self._take(row)
        move = self._moves.get(row.partition)
        if move is not None and (move.stage, move.to) == (Assign, row.owner):
            move.stage, move.epoch, move.until = Open, row.epoch, None

    def found(self, row: Assignment) -> None:
        """The store's row is this: somebody else changed it, or an answer of ours was lost."""
        self._take(row)
        move = self._moves.get(row.partition)
        if move is not None and move.stage is Assign:
            del self._moves[row.partition]

    def opened(self, partition: int, epoch: int, *, done: bool) -> None:
        """The new owner serves. Not `done`: it doesn't, and never will under that epoch."""
        move = self._moves.get(partition)
        if move is not None and (move.stage, move.epoch) == (Open, epoch):
            del self._moves[partition]
        if self.rows[partition].epoch != epoch:
            return
        if done:
            self._serve(partition, epoch)
            self._retries.pop(partition, None)
        else:
            retry = self._retries.setdefault(partition, _Retry())
            retry.pause = min(2.0, max(0.1, 2 * retry.pause))
            retry.at = self._lived + retry.pause

    def _take(self, row: Assignment) -> None:
        if row.epoch >= self.rows[row.partition].epoch:
            self.rows[row.partition] = row

    def _serve(self, partition: int, epoch: int) -> None:
        self._served[partition, epoch] = self._lived

    # --- what to do --------------------------------------------------------------------------

    def step(self, now: float) -> list[Action]:
        """Return what is to be done now. Call it after every input, and a few times a second."""
        self._pass(now)
        living = self._living()
        targets = self._targets(living)
        incarnations = {member.beat.incarnation for member in living.values()}
        self._give_up(incarnations)
        if targets:
            for row in self.rows:
                if row.partition not in self._moves:
                    self._begin(row, living[targets[row.partition]].beat.incarnation, incarnations)
        actions = [
            action
            for partition, move in self._moves.items()
            if (action := self._act(partition, move)) is not None
        ]
        self._publish()
        return actions + self._kills(living)

    def _pass(self, now: float) -> None:
        # A step is due more often than every beat. If it comes late, it's we who stood still, and
        # the shards' beats may wait for us unread: that isn't their silence.
        self._lived += min(max(0.0, now - self._now), self._timing.beat)
        self._now = now

    def _living(self) -> dict[str, _Member]:
        silent = self._lived - self._timing.silence
        return {name: member for name, member in self._members.items() if member.seen >= silent}

    def _targets(self, living: Mapping[str, _Member]) -> Sequence[str]:
        """Return the shard that each partition belongs on; empty if it's too early to say."""
        if not self._gathered:
            patient = self._lived - self._newest <= self._timing.gather
            if not living or (patient and self.plan.shards.keys() - living.keys()):
                return ()
            self._gathered = True
        eligible = self._eligible(living)
        self._settle([living[name] for name in eligible], living.keys())
        settled = {name for name in eligible if living[name].settled}
        return self._place(settled or eligible)

    def _settle(self, eligible: Sequence[_Member], living: AbstractSet[str]) -> None:
        """Let newcomers have their shares, all at once: else partitions move, and move again.

        Who has just come may go again, and who is missing may come: both are waited for a while.
        """
        owners = {row.owner for row in self.rows}
        fresh: list[_Member] = []
        for member in eligible:
            member.settled = member.settled or member.beat.incarnation in owners
            if not member.settled:
                fresh.append(member)
        wanted = {name for name, shard in self.plan.shards.items() if not shard.draining}
        timing = self._timing
        patience = max(timing.settle, timing.gather) if wanted - living else timing.settle
        if fresh and self._lived - max(member.since for member in fresh) >= patience:
            for member in fresh:
                member.settled = True

    def _eligible(self, living: Mapping[str, _Member]) -> set[str]:
        """Return the living shards that shall hold partitions; if there are none, all that can."""
        wanted = {name for name, shard in self.plan.shards.items() if not shard.draining}
        fit = {name for name, each in living.items() if self.agreement.fit(each.beat.offers)}
        return fit & wanted or fit

    def _place(self, names: set[str]) -> Sequence[str]:
        if not names:
            return ()
        known, ordinary = self.plan.shards, ShardPlan()
        weights = {name: known.get(name, ordinary).weight for name in sorted(names)}
        key = (tuple(weights.items()), tuple(self.plan.pins.items()))
        if key not in self._placed:
            # Two at a time: with the newcomers, and without.
            placed = list(self._placed.items())[-1:]
            self._placed = {**dict(placed), key: place(len(self.rows), weights, self.plan.pins)}
        return self._placed[key]

    def _give_up(self, incarnations: set[str]) -> None:
        """Drop the moves whose target is gone, and go on with those that nobody answers."""
        for partition, move in list(self._moves.items()):
            late = move.until is not None and self._lived > move.until
            if move.to not in incarnations:
                del self._moves[partition]
            elif late and move.stage is Release:
                self.released(partition, move.epoch)
            elif late and move.stage is Open:
                self.opened(partition, move.epoch, done=False)
            elif late:
                del self._moves[partition]

    def _begin(self, row: Assignment, to: str, incarnations: set[str]) -> None:
        if row.owner in incarnations and (row.partition, row.epoch) in self._served:
            planned = sum(move.planned for move in self._moves.values())
            if row.owner != to and planned < self._timing.hand_offs:
                self._moves[row.partition] = _Move(Release, to, row.epoch, planned=True)
            return
        retry = self._retries.get(row.partition)
        if not self._unheard(row.owner) and (retry is None or self._lived >= retry.at):
            self._moves[row.partition] = _Move(Assign, to, row.epoch, planned=False)

    def _unheard(self, owner: str) -> bool:
        """Whether an owner may live that this coordinator hasn't heard yet."""
        known = not owner or owner in self._ended or owner.partition("/")[0] in self._members
        return not known and self._lived <= self._timing.silence

    def _act(self, partition: int, move: _Move) -> Action | None:
        """Return what begins the move's stage, once."""
        if move.until is not None:
            return None
        row, timing = self.rows[partition], self._timing
        if move.stage is Open:
            move.until = self._lived + timing.opening
            return Open(partition, move.epoch, move.to)
        move.until = self._lived + timing.hand_off
        if move.stage is Release:
            return Release(partition, row.epoch, row.owner)
        return Assign(partition, move.to, row.epoch)

    def _kills(self, living: Mapping[str, _Member]) -> list[Action]:
        """Return whom to kill: hung, and of no use to anybody any more."""
        if not self._timing.kill_hung or (living and self._moves):
            return []
        owners = {row.owner for row in self.rows}
        actions: list[Action] = []
        for name, member in self._members.items():
            if name in living or member.killed:
                continue
            longer = self._lived - member.seen > 2 * self._timing.silence
            if member.beat.incarnation not in owners or (not living and longer):
                member.killed = True
                actions.append(Kill(member.beat))
        return actions

    # --- what is known -----------------------------------------------------------------------

    @property
    def lived(self) -> float:
        """Seconds that passed for the coordinator, without those in which it stood still."""
        return self._lived

    def members(self) -> list[tuple[Beat, str]]:
        """Return every shard with its state: serving, draining, refused or silent; by name."""
        living = self._living()
        found: list[tuple[Beat, str]] = []
        for name, member in sorted(self._members.items()):
            shard = self.plan.shards.get(name)
            state = "serving" if shard is not None and not shard.draining else "draining"
            if self.agreement.refusal(member.beat.offers):
                state = "refused"
            found.append((member.beat, state if name in living else "silent"))
        return found

    def calm(self, name: str) -> bool:
        """Whether a shard that ended may take CPU to start anew.

        It may if no other can take its games, or if those have served all for a while: longer than
        a backlog of commands lasts.
        """
        others = self._eligible(self._living()) - {name}
        whole = self._whole
        return not others or (whole is not None and self._lived - whole >= self._timing.calm)

    def holdings(self, name: str) -> int:
        """Return how many partitions a shard's rows name, or are on their way to it."""
        member = self._members.get(name)
        if member is None:
            return 0
        mine = member.beat.incarnation
        coming = sum(move.to == mine for move in self._moves.values())
        return coming + sum(row.owner == mine for row in self.rows)

    @property
    def unsettled(self) -> int:
        """How many partitions aren't served yet by whom they belong to in the end."""
        living = self._living()
        targets = self._place(self._eligible(living))
        if not targets or not self._gathered:
            return len(self.rows)
        return sum(
            (row.partition, row.epoch) not in self._served
            or row.owner != living[targets[row.partition]].beat.incarnation
            for row in self.rows
        )

    def _publish(self) -> None:
        owners = {m.beat.incarnation: m.beat for m in self._members.values()}
        routes: list[Route] = []
        for row in self.rows:
            beat = owners.get(row.owner)
            served = beat is not None and (row.partition, row.epoch) in self._served
            address = beat.address if beat is not None and served else None
            name = row.owner.partition("/")[0]
            routes.append(Route(row.partition, row.epoch, name, address))
        if not all(route.address for route in routes):
            self._whole = None
        elif self._whole is None:
            self._whole = self._lived
        if list(self.table.routes) != routes:
            self.table = RoutingTable(self.table.version + 1, routes)
