"""One partition in a shard: the games' memory, commands, and what its owner says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from persistence.log import Record
from persistence.ownership import actions, answers
from persistence.ownership.owner import Owner
from simulation.keeping import Keeping
from simulation.loading import Game, Loading
from simulation.requests import Requests
from simulation.truth import Told
from simulation.world import Violation

if TYPE_CHECKING:
    from simulation.client import Command
    from simulation.shard import Shard
    from simulation.system import PartitionStores

MOST_WAITING = 12
"""So many events may wait for the log; then commands are turned away."""
NEWS: dict[type, str] = {
    actions.Serve: "serve",
    actions.Release: "release",
    actions.Drop: "drop",
    actions.Flushed: "flushed",
    actions.StepDown: "step_down",
}
LOADS: dict[type, str] = {actions.Load: "load", actions.LoadOutbox: "load_outbox"}
REQUESTS: dict[type, str] = {
    actions.OpenRow: "open_row",
    actions.ReadRow: "read_row",
    actions.NoteProducer: "note_producer",
    actions.RaiseVersion: "raise_version",
    actions.AppendLog: "append_log",
    actions.SwitchRow: "switch_row",
    actions.AppendRows: "append_rows",
    actions.ReadRows: "read_rows",
    actions.FinishDrain: "finish_drain",
    actions.InitProducer: "init_producer",
    actions.Produce: "produce",
    actions.ReadKafka: "read_kafka",
}


class Reply:
    """What is said to a client once it may be."""

    __slots__ = ("command", "told")

    def __init__(self, command: Command | None, told: Told) -> None:
        self.command, self.told = command, told


class Hosted:
    """An owner, its games, and its requests under way."""

    def __init__(self, shard: Shard, stores: PartitionStores, owner: Owner) -> None:
        self.shard, self.stores, self.owner = shard, stores, owner
        self.world = shard.world
        self.games: dict[str, Game] = {}
        self.releasing = False
        self._acts = 0
        self.requests = Requests(self)
        self.loading = Loading(self)
        self.keeping = Keeping(self)

    def __str__(self) -> str:
        return f"{self.shard.incarnation}:{self.stores.name}@{self.owner.epoch}"

    # --- turns ------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Open the partition."""
        self.owner.open()
        self.perform()

    def tick(self) -> None:
        """Let time pass for the owner, and write behind."""
        self.owner.tick(self.shard.clock())
        self.perform()
        self.keeping.tick()
        fate = self.world.random()
        if fate < 0.02:
            self._touch()
        elif fate < 0.05 and self.owner.serving and not self.owner.sealed:
            self._act()

    def _touch(self) -> None:
        """Ask, now and then, whether the partition is still ours: nobody else may tell us."""
        row = self.stores.row

        def touched(epoch: Any) -> None:
            if isinstance(epoch, int) and not self.owner.closed:
                self.owner.superseded(epoch)
                self.perform()

        self.shard.request(self, "postgres", None, lambda: row.epoch, touched)

    def receive(self, answer: answers.Answer) -> None:
        """Take a store's answer."""
        if not self.owner.closed:
            if self.world.trace is not None:
                self.world.say(f"    {self} <- {answer}")
            self.owner.receive(answer)
            self.perform()

    def perform(self) -> None:
        """Do all that the owner wants now."""
        take = self.owner.take
        while wanted := take():
            for action in wanted:
                kind = type(action)
                if self.world.trace is not None and kind is not actions.Release:
                    self.world.say(f"    {self} -> {action}")
                if kind in NEWS:
                    getattr(self, NEWS[kind])(action)
                    continue
                self.shard.danger(kind)
                if kind in LOADS:
                    getattr(self.loading, LOADS[kind])(action)
                else:
                    getattr(self.requests, REQUESTS[kind])(action)

    def commit(self) -> None:
        """Let what was proposed in this turn be appended."""
        if self.shard.runs(self) and not self.owner.closed:
            self.owner.commit()
            self.perform()

    def _act(self) -> None:
        """Let a deadline come: an event that nobody asked for, so nobody has to find us first."""
        self._acts += 1
        name = f"{self.stores.prefix}g{self._acts % 2}"
        self._append(name, f"{self}#{self._acts}".encode(), None)
        self.owner.commit()
        self.perform()

    # --- commands ---------------------------------------------------------------------------------

    def command(self, command: Command) -> None:
        """Execute a client's command: a repeat meets itself, a new one becomes an event."""
        owner = self.owner
        if not owner.serving or owner.sealed:
            self.shard.answer(command, "moved", None, owner.epoch)
        elif len(owner.batches.open.records) > MOST_WAITING:
            self.shard.answer(command, "away", None, owner.epoch)
        else:
            self._execute(command)
            self.perform()

    def _execute(self, command: Command) -> None:
        owner, name = self.owner, command.game
        game = self.games.get(name)
        events = game.events if game is not None else []
        if command.view:
            told = Told(name, len(events), events[-1] if events else b"")
            owner.say(name, Reply(command, told))
        elif command.value in events:
            told = Told(name, events.index(command.value) + 1, command.value)
            owner.say(name, Reply(command, told))
        else:
            self._append(name, command.value, command)
            if self.world.random() < 0.2:  # otherwise what else comes in this turn joins it
                owner.commit()
            else:
                self.world.at(0.3, self.commit)

    def _append(self, name: str, value: bytes, command: Command | None) -> None:
        """Apply an event in memory, at once, and propose it to the log."""
        game = self.games.get(name)
        if game is None:
            game = self.games[name] = Game([], 0, self.stores.end(self.owner))
        if len(game.events) == game.saved:
            game.since = self.stores.end(self.owner)
        game.events.append(value)
        told = Told(name, len(game.events), value)
        self.owner.propose([Record(name, told.seq, value)], Reply(command, told))

    # --- news -------------------------------------------------------------------------------------

    def serve(self, _: actions.Serve) -> None:
        """Begin to answer."""
        self.world.say(f"{self} serves")
        loaded = {name: game.events for name, game in self.games.items()}
        self.shard.system.truth.loaded(loaded, self.owner.epoch, self.stores.prefix)
        self.shard.changed()
        if self.world.random() < 0.3:  # a deadline passed while nobody owned the partition
            self.world.at(0.5, self._fall_due)

    def _fall_due(self) -> None:
        if self.shard.runs(self) and self.owner.serving and not self.owner.sealed:
            self._act()

    def release(self, action: actions.Release) -> None:
        """Say what may be said."""
        for game, seq, *_ in action.records:
            known = self.games.get(game)
            if known is not None and seq > known.durable:
                known.durable = seq
                self.keeping.changed(game)
        for reply in action.outputs:
            self.shard.system.truth.told(reply.told, self.owner.epoch)
            self.shard.answer(reply.command, "done", reply.told, self.owner.epoch)

    def drop(self, action: actions.Drop) -> None:
        """Load games anew: memory is ahead of what is durable."""
        for name in action.games:
            game: Any = self.games[name]
            del game.events[game.durable :]
        for reply in action.outputs:
            self.shard.answer(reply.command, "away", None, self.owner.epoch)

    def flushed(self, _: actions.Flushed) -> None:
        """Everything is durable: a last snapshot, then it's somebody else's."""
        self.releasing = True
        self.keeping.save()

    def step_down(self, action: actions.StepDown) -> None:
        """Forget the partition."""
        self.world.say(f"{self} steps down: {action.reason}")
        if action.reason.startswith("conflict"):
            raise Violation(f"{self}: {action.reason}")
        for reply in action.outputs:
            self.shard.answer(reply.command, "moved", None, self.owner.epoch)
        self.shard.dropped(self)
