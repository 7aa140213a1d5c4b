"""One partition in a shard: performs what its owner wants, and holds the games' memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from persistence.log import Record
from persistence.ownership import actions, answers
from persistence.ownership.owner import Owner
from persistence.ownership.row import PartitionOpened
from simulation.postgres import FETCH, Checkpoint, Save, Snapshot
from simulation.truth import Told
from simulation.world import Violation

if TYPE_CHECKING:
    from simulation.shard import Shard
    from simulation.system import PartitionStores


class Game:
    """A game in memory: its events; how many are durable, and how many in a snapshot."""

    __slots__ = ("durable", "events", "saved", "since")

    def __init__(self, events: list[bytes], saved: int, since: int) -> None:
        self.events = events
        self.durable = len(events)
        self.saved = saved
        self.since = since
        """Offset from which a replay finds what isn't in its snapshot."""


class Reply:
    """What is said to a client once it may be."""

    __slots__ = ("command", "told")

    def __init__(self, command: Any, told: Told) -> None:
        self.command, self.told = command, told


class Hosted:
    """An owner, its games, and its requests under way."""

    def __init__(self, shard: Shard, stores: PartitionStores, owner: Owner) -> None:
        self.shard, self.stores, self.owner = shard, stores, owner
        self.world = shard.world
        self.games: dict[str, Game] = {}
        self.saving = False
        self.checkpointed = 0
        self.releasing = False
        self.away = False

    # --- turns --------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Open the partition."""
        self.owner.open()
        self.perform()

    def tick(self) -> None:
        """Let time pass for the owner, and save what is unsaved."""
        self.owner.tick(self.shard.clock())
        self.perform()
        if self.owner.serving and not self.owner.sealed:
            if not self.saving and self.world.random() < 0.3:
                self._save()

    def receive(self, answer: answers.Answer) -> None:
        """Take a store's answer."""
        if not self.owner.closed:
            if self.world.trace is not None:
                self.world.say(f"    {self} <- {answer}")
            self.owner.receive(answer)
            self.perform()

    def perform(self) -> None:
        """Do all that the owner wants now."""
        owner = self.owner
        while wanted := owner.take():
            for action in wanted:
                if self.world.trace is not None and not isinstance(action, actions.Release):
                    self.world.say(f"    {self} -> {action}")
                getattr(self, PERFORM[type(action)])(action)

    def __str__(self) -> str:
        return f"{self.shard.incarnation}/{self.stores.name}@{self.owner.epoch}"

    # --- commands -----------------------------------------------------------------------------------

    def command(self, command: Any) -> None:
        """Execute a client's command: a repeat meets itself, a new one becomes an event."""
        owner = self.owner
        if not owner.serving or owner.sealed:
            self.shard.answer(command, "moved", None, owner.epoch)
            return
        if len(owner.batches.open.records) > 12:
            self.shard.answer(command, "away", None, owner.epoch)
            return
        name = command.game
        game = self.games.get(name)
        if game is None:
            game = self.games[name] = Game([], 0, self.stores.end(owner))
        events = game.events
        if command.view:
            seq = len(events)
            told = Told(name, seq, events[-1] if events else b"")
            owner.say(name, Reply(command, told))
        elif command.value in events:
            told = Told(name, events.index(command.value) + 1, command.value)
            owner.say(name, Reply(command, told))
        else:
            if len(events) == game.saved:
                game.since = self.stores.end(owner)
            events.append(command.value)
            seq = len(events)
            owner.propose(
                [Record(name, seq, command.value)], Reply(command, Told(name, seq, command.value))
            )
            if self.world.random() < 0.2:  # otherwise what else comes within the turn joins it
                owner.commit()
            else:
                self.world.at(0.3, self._commit)
        self.perform()

    def _commit(self) -> None:
        if self.shard.runs(self) and not self.owner.closed:
            self.owner.commit()
            self.perform()

    # --- news ---------------------------------------------------------------------------------------

    def serve(self, _: actions.Serve) -> None:
        """Begin to answer."""
        self.world.say(f"{self} serves")
        loaded = {name: game.events for name, game in self.games.items()}
        self.shard.system.truth.loaded(loaded, self.owner.epoch, self.stores.prefix)
        self.shard.changed()

    def release(self, action: actions.Release) -> None:
        """Say what may be said."""
        for game, seq, *_ in action.records:
            known = self.games.get(game)
            if known is not None and seq > known.durable:
                known.durable = seq
        for reply in action.outputs:
            self.shard.system.truth.told(reply.told, self.owner.epoch)
            self.shard.answer(reply.command, "done", reply.told, self.owner.epoch)

    def drop(self, action: actions.Drop) -> None:
        """Load games anew: memory is ahead of what is durable."""
        for name in action.games:
            game = self.games[name]
            del game.events[game.durable :]
        for reply in action.outputs:
            self.shard.answer(reply.command, "away", None, self.owner.epoch)

    def flushed(self, _: actions.Flushed) -> None:
        """Everything is durable: a last snapshot, then it's somebody else's."""
        self.releasing = True
        self._save()

    def step_down(self, action: actions.StepDown) -> None:
        """Forget the partition."""
        self.world.say(f"{self} steps down: {action.reason}")
        if action.reason.startswith("conflict"):
            raise Violation(f"{self}: {action.reason}")
        for reply in action.outputs:
            self.shard.answer(reply.command, "moved", None, self.owner.epoch)
        self.shard.dropped(self)

    # --- requests -----------------------------------------------------------------------------------

    def _postgres(
        self, request: actions.Request, execute: Callable[[Any], answers.Answer]
    ) -> None:
        self.shard.danger(request)
        self.shard.request(self, "postgres", request, execute)

    def _fenced(self, request: Any, apply: Callable[[Any], answers.Answer]) -> None:
        """A transaction whose condition is looked at under the row's lock."""
        row = self.stores.row

        def execute(_: Any) -> answers.Answer:
            if row.holds(request):
                return apply(request)
            return answers.NotOurs(request.number)

        self._postgres(request, execute)

    def open_row(self, request: actions.OpenRow) -> None:
        """See the action."""
        self._write(request, self.stores.row.open)

    def note_producer(self, request: actions.NoteProducer) -> None:
        """See the action."""
        self._write(request, self.stores.row.note)

    def raise_version(self, request: actions.RaiseVersion) -> None:
        """See the action."""
        self._write(request, self.stores.row.raise_version)

    def finish_drain(self, request: actions.FinishDrain) -> None:
        """See the action."""
        self._write(request, self.stores.row.finish)

    def _write(self, request: Any, write: Callable[[Any], None]) -> None:
        def apply(request: Any) -> answers.Answer:
            write(request)
            return answers.RowRead(request.number, self.stores.row.row())

        self._fenced(request, apply)

    def switch_row(self, request: actions.SwitchRow) -> None:
        """See the action: snapshots of all that is in memory now, which the rows make durable."""
        snapshots = [
            Snapshot(name, game.saved, tuple(game.events[game.saved :]))
            for name, game in self.games.items()
            if len(game.events) > game.saved
        ]

        def apply(request: actions.SwitchRow) -> answers.Answer:
            self.stores.row.switch(request, snapshots)
            return answers.RowRead(request.number, self.stores.row.row())

        self._fenced(request, apply)

    def read_row(self, request: actions.ReadRow) -> None:
        """See the action."""
        self._postgres(
            request, lambda _: answers.RowRead(request.number, self.stores.row.row())
        )

    def append_log(self, request: actions.AppendLog) -> None:
        """See the action."""
        self._fenced(
            request, lambda r: answers.Appended(r.number, self.stores.row.append(r))
        )

    def append_rows(self, request: actions.AppendRows) -> None:
        """See the action."""

        def apply(request: actions.AppendRows) -> answers.Answer:
            if self.stores.row.insert(request):
                return answers.Appended(request.number)
            return answers.Conflicting(request.number)

        self._fenced(request, apply)

    def read_rows(self, request: actions.ReadRows) -> None:
        """See the action."""
        self._postgres(
            request,
            lambda _: answers.RowsRead(
                request.number,
                tuple(self.stores.row.rows(request.place, FETCH)),
            ),
        )

    def init_producer(self, request: actions.InitProducer) -> None:
        """See the action."""
        self.shard.danger(request)
        self.shard.request(
            self,
            "kafka",
            request,
            lambda _: answers.ProducerReady(request.number, self.stores.kafka.init_producer()),
        )

    def produce(self, request: actions.Produce) -> None:
        """See the action."""
        epoch = self.owner.epoch

        def execute(_: Any) -> answers.Answer:
            if self.world.now < self.world.fault_end and self.world.random() < (
                self.world.weather.refused
            ):
                return answers.Refused(request.number)
            what, offset = self.stores.kafka.produce(
                request.producer, request.sequence, request.batch, epoch
            )
            if what == "acked":
                return answers.Acked(request.number, offset)
            kind = answers.Fenced if what == "fenced" else answers.Refused
            return kind(request.number)

        self.shard.danger(request)
        self.shard.request(self, "kafka", request, execute)

    def read_kafka(self, request: actions.ReadKafka) -> None:
        """See the action."""
        self.shard.request(
            self,
            "kafka",
            request,
            lambda _: answers.KafkaRead(
                request.number, tuple(self.stores.kafka.entries[request.start : request.end])
            ),
        )

    # --- loading ------------------------------------------------------------------------------------

    def load(self, request: actions.Load) -> None:
        """See the action: snapshots first, then the log's tail."""
        self.shard.danger(request)

        def snapshots(_: Any) -> answers.Answer:
            return _Stored(request.number, {n: list(s) for n, s in self._stored()})

        def loaded(answer: answers.Answer) -> None:
            if isinstance(answer, _Stored):
                self._load_tail(request, answer.games)
            else:
                self.receive(answer)

        self.shard.request(self, "postgres", request, snapshots, loaded)

    def _stored(self) -> Any:
        return self.stores.row.snapshots.items()

    def _load_tail(self, request: actions.Load, stored: dict[str, list[bytes]]) -> None:
        entries = self.stores.log()

        def tail(_: Any) -> answers.Answer:
            return answers.KafkaRead(request.number, tuple(entries[request.start : request.end]))

        def loaded(answer: answers.Answer) -> None:
            if isinstance(answer, answers.KafkaRead):
                highest = self._replay(stored, answer.entries, request.start)
                self.receive(answers.Loaded(request.number, highest))
            else:
                self.receive(answer)

        self.shard.request(self, self.stores.place, request, tail, loaded)

    def load_outbox(self, request: actions.LoadOutbox) -> None:
        """See the action."""

        def execute(_: Any) -> answers.Answer:
            row = self.stores.row
            return _Stored(
                request.number,
                {n: list(s) for n, s in self._stored()},
                tuple(row.rows()),
                row.offset,
                max(row.outbox, default=-1) + 1,
            )

        def loaded(answer: answers.Answer) -> None:
            if isinstance(answer, _Stored):
                self._replay(answer.games, answer.rows, answer.offset, step=0)
                self.receive(answers.Loaded(request.number, 0, answer.places))
            else:
                self.receive(answer)

        self.shard.danger(request)
        self.shard.request(self, "postgres", request, execute, loaded)

    def _replay(
        self, stored: dict[str, list[bytes]], entries: Sequence[Any], offset: int, step: int = 1
    ) -> int:
        """Bring the games to life; return the highest epoch of the claims on the way."""
        self.games = games = {
            name: Game(events, len(events), offset) for name, events in stored.items()
        }
        highest = 0
        for entry in entries:
            if isinstance(entry, PartitionOpened):
                highest = max(highest, entry.epoch)
            else:
                game = games.get(entry.game)
                if game is None:
                    game = games[entry.game] = Game([], 0, offset)
                have = len(game.events)
                if entry.seq > have + 1:
                    raise Violation(f"{self}: {entry} at {offset} follows #{have} of its game")
                if entry.seq == have + 1:
                    if have == game.saved:
                        game.since = offset
                    game.events.append(entry.value)
                    game.durable = entry.seq
            offset += step
        return highest

    # --- snapshots ----------------------------------------------------------------------------------

    def snapshot_of(self, game: Game) -> int:
        """Return how many events of a game may be in a snapshot: the durable ones."""
        return game.durable

    def _save(self) -> None:
        """Write snapshots of durable state, then the checkpoint; when sealed, release after it."""
        dirty = [
            Snapshot(name, game.saved, tuple(game.events[game.saved : self.snapshot_of(game)]))
            for name, game in self.games.items()
            if self.snapshot_of(game) > game.saved
        ]
        self.saving = True
        if not dirty:
            self._checkpoint()
            return

        def saved(answer: answers.Answer) -> None:
            if isinstance(answer, _Held):
                self._saved(answer.held)
            self._checkpoint()

        self.shard.request(
            self,
            "postgres",
            Save(tuple(dirty)),
            lambda save: _Held(0, self.stores.row.save(save.snapshots)),
            saved,
        )

    def _saved(self, held: dict[str, int]) -> None:
        for name, seq in held.items():
            game = self.games.get(name)
            if game is not None and game.saved < seq <= len(game.events):
                game.saved = seq

    def checkpoint(self) -> int:
        """Return below which offset everything is in the snapshots."""
        end = self.stores.end(self.owner)
        return min(
            (game.since for game in self.games.values() if game.saved < len(game.events)),
            default=end,
        )

    def _checkpoint(self) -> None:
        self.saving = False
        offset = self.checkpoint()
        if not self.owner.closed and self.stores.keeps_checkpoint(self.owner):
            if offset > self.checkpointed:
                self.checkpointed = offset
                self.shard.request(
                    self,
                    "postgres",
                    Checkpoint(self.owner.epoch, offset),
                    self.stores.row.note_checkpoint,
                    lambda _: None,
                )
        if self.releasing and not self.owner.closed:
            self.owner.release()
            self.perform()


class _Stored(answers.Answer, frozen=True):
    games: dict[str, list[bytes]]
    rows: Sequence[Record] = ()
    offset: int = 0
    places: int = 0


class _Held(answers.Answer, frozen=True):
    held: dict[str, int]


PERFORM: dict[type, str] = {
    actions.Serve: "serve",
    actions.Release: "release",
    actions.Drop: "drop",
    actions.Flushed: "flushed",
    actions.StepDown: "step_down",
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
    actions.Load: "load",
    actions.LoadOutbox: "load_outbox",
}
