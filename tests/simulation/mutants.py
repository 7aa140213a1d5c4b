"""One rule broken at a time: the simulation has to catch every one of these.

Each function returns what it replaces: (where, attribute, by what). Production code knows nothing
of this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from persistence.log import Record
from persistence.ownership import actions
from persistence.ownership.answers import (
    Acked,
    Fenced,
    KafkaRead,
    Loaded,
    NotOurs,
    RowRead,
    RowsRead,
    Unknown,
)
from persistence.ownership.batches import Batch
from persistence.ownership.claiming import Claiming
from persistence.ownership.draining import Draining
from persistence.ownership.kafka_owner import KafkaOwner
from persistence.ownership.owner import Owner
from persistence.ownership.postgres_owner import PostgresOwner
from persistence.ownership.row import Producer, Row
from simulation.hosted import Hosted
from simulation.keeping import Keeping
from simulation.loading import Loading
from simulation.postgres import Partition
from simulation.reader import Reader
from simulation.redis import Cache, Hot
from simulation.requests import Requests
from simulation.shard import Shard

Patches = list[tuple[Any, str, Any]]
MUTANTS: dict[str, Callable[[], Patches]] = {}


def mutant(make: Callable[[], Patches]) -> Callable[[], Patches]:
    """Register a mutant under its name."""
    MUTANTS[make.__name__.replace("_", "-")] = make
    return make


@contextmanager
def applied(name: str) -> Iterator[None]:
    """Break the rule `name`; the empty name breaks none."""
    patches = MUTANTS[name]() if name else []
    before = [(where, attribute, getattr(where, attribute)) for where, attribute, _ in patches]
    try:
        for where, attribute, broken in patches:
            setattr(where, attribute, broken)
        yield
    finally:
        for where, attribute, whole in before:
            setattr(where, attribute, whole)


def _told_the_end_of_the_log() -> Patches:
    """Let an owner know where Kafka's log ends just now, which no rule may rest on."""

    def begin(self: Hosted) -> None:
        self.owner.log_end = lambda: len(self.stores.kafka.entries)  # type: ignore[attr-defined]
        opens(self)

    opens = Hosted.begin
    return [(Hosted, "begin", begin)]


# --- opening ------------------------------------------------------------------------------------


@mutant
def reopened_epoch() -> Patches:
    """Rule 1: a restarted process goes by its old name, and opens its old epoch again."""

    def holds(self: Partition, request: Any) -> bool:
        if type(request) is actions.OpenRow:
            return (self.epoch, self.owner) == (request.epoch, request.owner)
        return whole(self, request)

    def open_(self: Partition, request: Any) -> None:
        self.opened = request.epoch

    def start(self: Shard) -> None:
        restart(self)
        self.incarnation = f"{self.name}/1"
        for partition, stores in self.system.stores.items():
            if stores.row.owner == self.incarnation:
                self.world.at(1.0, self.inbox, self.life, self._open, partition, stores.row.epoch)

    def now(call: Any) -> Any:
        return lambda self, _life, *args: call(self, self.life, *args)

    whole, restart = Partition.holds, Shard.start
    return [(Partition, "holds", holds), (Partition, "open", open_), (Shard, "start", start),
            *((Shard, name, now(getattr(Shard, name))) for name in ("open", "release", "command"))]  # fmt: skip


@mutant
def opened_twice() -> Patches:
    """Rule 1: a repeated message makes a process open an epoch again beside itself."""

    def _open(self: Shard, partition: str, epoch: int) -> None:
        if epoch == self.opened.get(partition, 0):
            self.opened[partition] = epoch - 1
            before = self.hosted.pop(partition, None)
            if before is not None:
                strays.append(before)
        whole(self, partition, epoch)

    def holds(self: Partition, request: Any) -> bool:
        if type(request) is actions.OpenRow:
            return (self.epoch, self.owner) == (request.epoch, request.owner)
        return version(self, request)

    def open_(self: Partition, request: Any) -> None:
        self.opened = request.epoch

    strays: list[Hosted] = []
    whole, version = Shard._open, Partition.holds
    return [(Shard, "_open", _open), (Partition, "holds", holds), (Partition, "open", open_)]


@mutant
def no_wait_for_the_claim() -> Patches:
    """Rule 2: serve as soon as the claim is sent, after reading to where the log ends then."""

    claim = Claiming._claim

    def _claim(self: Claiming) -> None:
        claim(self)
        self.stop()
        claimant: Any = self._claimant
        assert self.row is not None
        owner = claimant if isinstance(claimant, KafkaOwner) else claimant._drained
        claimant.claimed(self, self.row, owner.log_end())

    return [(Claiming, "_claim", _claim), *_told_the_end_of_the_log()]


@mutant
def no_replay_to_the_claim() -> Patches:
    """Rule 2: replay to where the log ended before the claim."""

    def _look(self: Claiming) -> None:
        claimant: Any = self._claimant
        owner = claimant if isinstance(claimant, KafkaOwner) else claimant._drained
        self.seen = owner.log_end()
        look(self)

    def _load(self: KafkaOwner, checkpoint: int, claim: int) -> None:
        load(self, checkpoint, min(claim, self._seen))

    def claimed(self: KafkaOwner, claiming: Any, row: Any, offset: int) -> None:
        self._seen = claiming.seen
        whole(self, claiming, row, offset)

    look, load, whole = Claiming._look, KafkaOwner._load, KafkaOwner.claimed
    return [(Claiming, "_look", _look), (KafkaOwner, "_load", _load),
            (KafkaOwner, "claimed", claimed), *_told_the_end_of_the_log()]  # fmt: skip


@mutant
def no_second_look() -> Patches:
    """Rule 2: the row is looked at before InitProducerId only; the load reads its checkpoint."""

    def _look(self: Claiming) -> None:
        row = getattr(self._claimant, "row_at_opening", None)
        if row is None:
            look(self)
        else:
            self._looked(RowRead(0, row))

    def _opened(self: KafkaOwner, row: Any) -> None:
        self.row_at_opening = row if row.producer_id is not None else None  # type: ignore[attr-defined]
        opened(self, row)

    def load(self: Loading, request: Any) -> None:
        start = max(request.start, min(self.stores.row.checkpoint, request.end))
        load_from(self, actions.Load(request.number, start, request.end))

    look, opened, load_from = Claiming._look, KafkaOwner._opened, Loading.load
    return [(Claiming, "_look", _look), (KafkaOwner, "_opened", _opened), (Loading, "load", load)]


@mutant
def latest_claim_wins() -> Patches:
    """Rule 1: a claim of a higher epoch that is seen in a replay makes nobody step down; no look."""

    def receive(self: Owner, answer: Any) -> None:
        if isinstance(answer, Loaded):
            answer = Loaded(answer.number, 0, answer.places)
        elif isinstance(answer, KafkaRead):
            answer = KafkaRead(answer.number, [e for e in answer.entries if isinstance(e, Record)])
        whole(self, answer)

    whole = Owner.receive
    return [(Owner, "receive", receive), *no_second_look()]


@mutant
def old_producer_id_not_fenced() -> Patches:
    """Rule 11: the transactional id expired; the batches of the old producer id go on landing."""

    def _fence_old(self: Claiming, old: int) -> None:
        self._note()

    return [(Claiming, "_fence_old", _fence_old)]


@mutant
def outbox_opened_without_the_rows() -> Patches:
    """Rule 3: in mode outbox the snapshots alone are loaded."""

    def replay_rows(self: Loading, stored: Any) -> None:
        self.replay(stored.games, (), stored.offset, None, step=0)

    return [(Loading, "replay_rows", replay_rows)]


@mutant
def outbox_loaded_without_a_look_at_the_row() -> Patches:
    """Rule 3: an owner that slept loads an outbox that a newer one has drained."""

    def holds(self: Partition, request: Any) -> bool:
        return type(request) is actions.LoadOutbox or whole(self, request)

    whole = Partition.holds
    return [(Partition, "holds", holds)]


# --- what is said ---------------------------------------------------------------------------------


@mutant
def early_acknowledgement() -> Patches:
    """Output commit: an event is told when it's sent, not when it's durable."""

    def send(self: Owner, batch: Batch) -> None:
        self.asks.tell(actions.Release(batch.outputs))
        batch.outputs = []
        whole[type(self)](self, batch)

    whole: Any = {KafkaOwner: KafkaOwner.send, PostgresOwner: PostgresOwner.send}
    return [(KafkaOwner, "send", send), (PostgresOwner, "send", send)]


@mutant
def answers_from_undurable_memory() -> Patches:
    """Output commit: repeats and views are answered from memory at once."""

    def say(self: Owner, game: str, output: Any) -> None:
        self.asks.tell(actions.Release([output]))

    return [(Owner, "say", say)]


# --- appends to Kafka -----------------------------------------------------------------------------


@mutant
def unknown_taken_for_failed() -> Patches:
    """Rule 4: a batch without an answer is dropped as if it couldn't land any more."""

    def _produced(self: KafkaOwner, answer: Any) -> None:
        if isinstance(answer, Unknown):
            self.drop()
        else:
            whole(self, answer)

    whole = KafkaOwner._produced
    return [(KafkaOwner, "_produced", _produced)]


@mutant
def refused_retry_taken_for_failed() -> Patches:
    """Rule 4: the refusal of a retry is taken for the refusal of all tries."""

    def _produced(self: KafkaOwner, answer: Any) -> None:
        self._doubted = False
        whole(self, answer)

    whole = KafkaOwner._produced
    return [(KafkaOwner, "_produced", _produced)]


@mutant
def failure_keeps_the_followers() -> Patches:
    """Rule 4: a definite failure drops its own games, not the batch that was built on them."""

    def drop(self: Owner) -> None:
        flight, self.batches.flight = self.batches.flight, None
        if flight is not None:
            self.asks.tell(actions.Drop(frozenset(), flight.outputs))
        self._next()

    return [(KafkaOwner, "drop", drop)]


@mutant
def failure_keeps_the_memory() -> Patches:
    """Rule 4: after a definite failure the games go on from memory."""

    def drop(self: Hosted, action: Any) -> None:
        whole(self, actions.Drop(frozenset(), action.outputs))

    whole = Hosted.drop
    return [(Hosted, "drop", drop)]


@mutant
def retry_under_a_new_sequence() -> Patches:
    """Rule 4: a batch without an answer is sent again as if it were another one."""

    def _produced(self: KafkaOwner, answer: Any) -> None:
        if isinstance(answer, Unknown) and self.batches.flight is not None:
            self.sequence += len(self.batches.flight.records)
        elif not isinstance(answer, Acked | Fenced | Unknown):
            self.sequence -= len(self.batches.flight.records)  # the broker wants the old one
            answer = Unknown(answer.number)
        whole(self, answer)

    whole = KafkaOwner._produced
    return [(KafkaOwner, "_produced", _produced)]


@mutant
def fenced_and_sent_again() -> Patches:
    """Rule 5: after ProducerFenced take a new producer epoch and go on, without look or replay."""

    def _produced(self: KafkaOwner, answer: Any) -> None:
        if isinstance(answer, Fenced):
            self.asks.ask(actions.InitProducer, lambda ready: fresh(self, ready))
        else:
            whole(self, answer)

    def fresh(self: KafkaOwner, ready: Any) -> None:
        if isinstance(ready, Unknown):
            self.asks.ask(actions.InitProducer, lambda again: fresh(self, again))
        elif self.batches.flight is not None:
            self.producer, self.sequence = ready.producer, 0
            self._send_again(self.batches.flight)

    whole = KafkaOwner._produced
    return [(KafkaOwner, "_produced", _produced)]


@mutant
def claimed_again_without_a_replay() -> Patches:
    """Rule 5: after a second claim the batch in doubt is sent anew, though it may have landed."""

    def _look_behind(self: KafkaOwner, checkpoint: int, claim: int) -> None:
        self._in_kafka(claim + 1)

    return [(KafkaOwner, "_look_behind", _look_behind)]


# --- the switch -----------------------------------------------------------------------------------


@mutant
def switch_without_the_batch_in_doubt() -> Patches:
    """Rule 6: what is in doubt counts as failed when the owner switches."""

    def _switch(self: KafkaOwner) -> None:
        if self.batches.flight is not None:
            self.asks.forget(self._number)
            self.asks.tell(actions.Drop(*self.batches.clear()))
        whole(self)

    whole = KafkaOwner._switch
    return [(KafkaOwner, "_switch", _switch)]


@mutant
def switch_in_two_transactions() -> Patches:
    """Rule 6: the mode first, rows and snapshots in a second transaction."""

    def switch(self: Partition, request: Any, snapshots: Any) -> None:
        self.mode, self.offset, self.checkpoint = "outbox", request.offset, request.offset
        self.version += 1
        epoch, version = self.epoch, self.version

        def second() -> None:
            if (self.epoch, self.version) == (epoch, version):
                for game, base, chunk in snapshots:
                    stored = self.snapshots.setdefault(game, [])
                    stored.extend(chunk[max(0, len(stored) - base) :])
                self._rows(0, request.rows)

        self._world.at(8.0 * self._world.random(), second)

    return [(Partition, "switch", switch)]


@mutant
def switch_without_snapshots() -> Patches:
    """Rule 6: the games beyond their snapshots are left to a log that is away."""

    def switch(self: Partition, request: Any, snapshots: Any) -> None:
        whole(self, request, ())

    whole = Partition.switch
    return [(Partition, "switch", switch)]


@mutant
def unknown_switch_taken_for_failed() -> Patches:
    """Rule 6: a switch without an answer counts as not made, and Kafka is tried again."""

    def _switched(self: KafkaOwner, answer: Any) -> None:
        if isinstance(answer, Unknown):
            self._in_kafka_again()
        else:
            whole(self, answer)

    whole = KafkaOwner._switched
    return [(KafkaOwner, "_switched", _switched)]


@mutant
def switch_settled_by_reading() -> Patches:
    """Rule 6: a switch without an answer is settled by a look that raises no version."""

    def _switched(self: KafkaOwner, answer: Any) -> None:
        if isinstance(answer, Unknown):
            self.asks.ask(actions.ReadRow, self._switched)
        elif isinstance(answer, RowRead) and answer.row.epoch != self.epoch:
            self.step_down("the row was given to somebody else")
        else:
            whole(self, answer)

    whole = KafkaOwner._switched
    return [(KafkaOwner, "_switched", _switched)]


# --- Postgres -------------------------------------------------------------------------------------


@mutant
def no_epoch_check_in_postgres() -> Patches:
    """Rule 3: an owner's writes to Postgres aren't fenced."""

    def holds(self: Partition, request: Any) -> bool:
        return whole(self, request) if type(request) is actions.OpenRow else True

    whole = Partition.holds
    return [(Partition, "holds", holds)]


@mutant
def no_lock_in_postgres() -> Patches:
    """Rule 3: the condition is looked at when the statement begins, not under the row's lock."""

    def fenced(self: Requests, request: Any, apply: Any) -> None:
        seen: list[bool] = []
        row = self.stores.row

        def look() -> None:
            if self.world.now >= self.hosted.shard.system.away["postgres"]:
                seen.append(row.holds(request))

        self.world.at(self.world.weather.latency * 0.1, look)

        def execute() -> Any:
            held = seen[0] if seen else row.holds(request)
            return apply(request) if held else NotOurs(request.number)

        self._postgres(request, execute)

    return [(Requests, "fenced", fenced)]


@mutant
def settled_without_raising_the_version() -> Patches:
    """Log in Postgres: an append without an answer is judged by the head, and may still land."""

    def _settle(self: PostgresOwner) -> None:
        self.asks.ask(actions.ReadRow, settled(self))

    def settled(self: PostgresOwner) -> Any:
        def read(answer: Any) -> None:
            if isinstance(answer, RowRead) and answer.row.epoch != self.epoch:
                answer = NotOurs(answer.number)
            self._settled(answer)

        return read

    return [(PostgresOwner, "_settle", _settle)]


@mutant
def unknown_append_to_postgres_taken_for_failed() -> Patches:
    """Rule 7: an append without an answer, to log or outbox, is dropped."""

    def _appended(self: PostgresOwner, answer: Any) -> None:
        if isinstance(answer, Unknown):
            self.drop()
        else:
            log(self, answer)

    def _inserted(self: KafkaOwner, answer: Any) -> None:
        if isinstance(answer, Unknown):
            self.drop()
        else:
            outbox(self, answer)

    log, outbox = PostgresOwner._appended, KafkaOwner._inserted
    return [(PostgresOwner, "_appended", _appended), (KafkaOwner, "_inserted", _inserted)]


@mutant
def conflicts_do_nothing() -> Patches:
    """Rule 7: `ON CONFLICT DO NOTHING`; and an append without an answer may be given up."""

    def insert(self: Partition, request: Any) -> bool:
        there = {(row.game, row.seq) for row in self.outbox.values()}
        fresh = [row for row in request.rows if (row.game, row.seq) not in there]
        self._rows(max(self.outbox, default=-1) + 1, fresh)
        return True

    return [(Partition, "insert", insert), *unknown_append_to_postgres_taken_for_failed()]


# --- the drain ------------------------------------------------------------------------------------


@mutant
def drain_without_a_claim() -> Patches:
    """Rule 8: rows, and then events, go to Kafka under a producer id that no claim will fence."""

    def start(self: Draining) -> None:
        drained: Any = self._drained
        self._claiming.producer = Producer(1000 + drained.epoch, drained.attempts)
        self._number = self.asks.ask(actions.ReadRow, lambda answer: looked(self, answer))

    def looked(self: Draining, answer: Any) -> None:
        if isinstance(answer, RowRead):
            drained: Any = self._drained
            self.claimed(self._claiming, answer.row, drained.log_end())
            self.attempts += 1
            self.end -= 1
            self.sequence = 0
        else:
            self._give_up()

    return [(Draining, "start", start), *_told_the_end_of_the_log()]


@mutant
def drain_without_a_replay() -> Patches:
    """Rule 8: everything in the outbox is appended, also what was in doubt and has landed."""

    def _read(self: Draining, answer: Any) -> None:
        if isinstance(answer, KafkaRead):
            answer = KafkaRead(answer.number, ())
        whole(self, answer)

    whole = Draining._read
    return [(Draining, "_read", _read)]


@mutant
def drain_from_memory() -> Patches:
    """Rule 8: what is on its way to the outbox is drained as if it were in it."""

    def _rows(self: Draining, answer: Any) -> None:
        flight = self._drained.batches.flight
        if isinstance(answer, RowsRead) and not answer.rows and flight is not None:
            answer = RowsRead(answer.number, tuple(flight.records))
            if flight is getattr(self, "_sent", None):
                answer = RowsRead(answer.number, ())
            self._sent = flight
        whole(self, answer)

    whole = Draining._rows
    return [(Draining, "_rows", _rows)]


@mutant
def rows_deleted_as_they_drain() -> Patches:
    """Rule 8: each batch that is in Kafka is deleted from the outbox at once."""

    def _appended(self: Draining, rows: Any) -> None:
        whole(self, rows)
        self._drained.delete(self.places)  # type: ignore[attr-defined]

    def begin(self: Hosted) -> None:
        def delete(places: int) -> None:
            row = self.stores.row
            if row.epoch == self.owner.epoch:
                for place in [place for place in row.outbox if place < places]:
                    del row.outbox[place]

        self.owner.delete = delete  # type: ignore[attr-defined]
        start(self)

    whole, start = Draining._appended, Hosted.begin
    return [(Draining, "_appended", _appended), (Hosted, "begin", begin)]


@mutant
def unknown_drained_batch_taken_for_failed() -> Patches:
    """Rule 8: a drained batch without an answer is left out, as if the next claim had it."""

    def _append(self: Draining, rows: Any) -> None:
        whole(self, rows)
        number = self._number
        then = self.asks._waiting.get(number)

        def hopeful(answer: Any) -> None:
            then(Acked(answer.number, None) if isinstance(answer, Unknown) else answer)

        if then is not None:
            self.asks._waiting[number] = hopeful

    whole = Draining._append
    return [(Draining, "_append", _append)]


@mutant
def events_to_kafka_before_the_drain_is_known_to_be_over() -> Patches:
    """Rule 8: the last transaction has no answer, and new events go to Kafka already."""

    def _finished(self: Draining, answer: Any) -> None:
        if isinstance(answer, Unknown):
            owner: Any = self._drained
            owner.drained(self, Row(0, "", "kafka", owner.version + 1))
        else:
            whole(self, answer)

    whole = Draining._finished
    return [(Draining, "_finished", _finished)]


@mutant
def no_hold_before_the_last_transaction() -> Patches:
    """Rule 8: new rows come into the outbox while its end is being written."""

    def ready(self: KafkaOwner) -> bool:
        draining, self._draining = self._draining, None
        held = whole(self)
        self._draining = draining
        if draining is not None and draining.holding:
            draining.quiet()
        return held

    whole = KafkaOwner.ready
    return [(KafkaOwner, "ready", ready)]


@mutant
def kafka_read_before_the_outbox() -> Patches:
    """Rule 10: a reader of both places reads Kafka first; the drain moves rows behind its back."""
    return [(Reader, "first", Reader.second), (Reader, "second", Reader.first)]


# --- snapshots ------------------------------------------------------------------------------------


@mutant
def undurable_snapshots() -> Patches:
    """Rule 9: a snapshot holds what is in memory."""

    def snapshot_of(self: Keeping, game: Any) -> int:
        return len(game.events)

    return [(Keeping, "snapshot_of", snapshot_of)]


@mutant
def backward_snapshots() -> Patches:
    """Rule 9: a snapshot that comes late replaces a newer one."""

    def save(self: Partition, snapshots: Any) -> dict[str, int]:
        for game, base, chunk in snapshots:
            stored = self.snapshots.setdefault(game, [])
            if len(stored) >= base:
                self.snapshots[game] = [*stored[:base], *chunk]
        return {game: len(self.snapshots[game]) for game, *_ in snapshots}

    return [(Partition, "save", save)]


@mutant
def checkpoint_before_its_snapshots() -> Patches:
    """Rule 9: the checkpoint moves to the end of the log while snapshots are on their way."""

    def checkpoint(self: Keeping) -> int:
        return self.stores.end(self.hosted.owner)

    return [(Keeping, "checkpoint", checkpoint)]


# --- hot state ------------------------------------------------------------------------------------


@mutant
def hot_state_that_goes_back() -> Patches:
    """Rule 9: an owner that was overtaken writes over what is newer."""

    def write(self: Cache, write: Any) -> bool:
        self.seqs = {game: len(events) for game, events in write.games.items()}
        self.games |= {game: (write.epoch, events) for game, events in write.games.items()}
        self.mark = write.epoch, max(write.checkpoint, self.mark[1] if self.mark else 0)
        return True

    return [(Cache, "write", write)]


@mutant
def hot_state_not_proven_complete() -> Patches:
    """Rule 9: what is missing in the cache counts as not having been there."""

    def read(self: Cache) -> Any:
        if self.mark is None:
            return None
        return Hot(*self.mark, {game: list(events) for game, (_, events) in self.games.items()})

    return [(Cache, "read", read)]


@mutant
def hot_state_goes_on_after_a_wipe() -> Patches:
    """Rule 9: after Redis lost everything, only what changes is written, with a checkpoint."""

    def write(self: Cache, write: Any) -> bool:
        fits = self.mark is None or write.base is None or self.mark == write.base
        return whole(self, write._replace(base=self.mark) if fits and write.base else write)

    whole = Cache.write
    return [(Cache, "write", write)]


@mutant
def hot_state_in_two_steps() -> Patches:
    """Rule 9: the checkpoint is written first, games and seqs a moment later, without MULTI."""

    def write(self: Cache, write: Any) -> bool:
        if self.mark is not None and (write.epoch, write.checkpoint) < self.mark:
            return False
        self.mark = write.epoch, write.checkpoint

        def rest() -> None:
            for game, events in write.games.items():
                self.put(game, write.epoch, events)
                self.seqs[game] = len(events)

        self._world.at(20.0 * self._world.random(), rest)
        return True

    return [(Cache, "write", write)]


NAMES = list(MUTANTS)
