"""What the owner of a partition does in every mode: batches, output commit, seal, stepping down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from persistence.log import Record
from persistence.ownership.actions import (
    Action,
    Drop,
    Flushed,
    OpenRow,
    Release,
    Serve,
    StepDown,
)
from persistence.ownership.answers import Answer, NotOurs, RowRead
from persistence.ownership.asks import Asks
from persistence.ownership.batches import Batch, Batches
from persistence.ownership.row import Row


class Settings(Struct, frozen=True):
    """When an owner acts by itself, in ms of its own clock. None of it decides what is safe."""

    doubt_ms: float = 2_000
    """An append without an acknowledgement for so long goes to the outbox."""
    probe_ms: float = 5_000
    """So long after Kafka failed a drain is tried."""
    reclaim_ms: float = 12 * 3_600_000
    """So long after a claim the partition is claimed again: its producer id must not expire."""


class Owner:
    """One life of an owner, from the opening of an epoch to its loss. It does no I/O.

    Call `open` once; perform every action of `take`, in order; hand each answer to `receive`. Call
    `commit` after a turn's proposals, and `tick` now and then. After `StepDown` throw it away.
    """

    def __init__(self, epoch: int, owner: str, settings: Settings | None = None) -> None:
        """Own a partition at `epoch`, which was given to `owner`, this life of this process."""
        self.epoch = epoch
        self.owner = owner
        self.settings = settings or Settings()
        self.now = 0.0
        self.serving = False
        """Whether commands are welcome."""
        self.sealed = False
        self.closed = False
        self.batches = Batches()
        self.asks = Asks()
        self._flushed = False

    def take(self) -> list[Action]:
        """Return what is to be done, in order."""
        return self.asks.take()

    def receive(self, answer: Answer) -> None:
        """Take the answer to a request."""
        self.asks.answered(answer)

    def tick(self, now: float) -> None:
        """Note the time: ms of a clock of this process that never runs backwards."""
        self.now = now

    # --- opening ------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the epoch. It can be done once: after an unknown outcome a new epoch is needed."""
        self.asks.ask(OpenRow, self._row_opened, self.epoch, self.owner)

    def _row_opened(self, answer: Answer) -> None:
        if isinstance(answer, RowRead):
            self._opened(answer.row)
        elif isinstance(answer, NotOurs):
            self.step_down("the row names another owner or epoch, or this epoch was opened")
        else:
            self.step_down("nobody knows whether the epoch was opened")

    def _opened(self, row: Row) -> None:
        """Go on with what the row's mode asks for."""
        raise NotImplementedError

    def serve(self) -> None:
        """All is loaded: welcome commands."""
        self.serving = True
        self.asks.tell(Serve())
        self._next()

    # --- events and what is said of them --------------------------------------------------------

    def propose(self, records: Sequence[Record], output: Any) -> None:
        """Take the next events of a game; `output` is released once they are durable."""
        self.batches.open.add(records, output)

    def say(self, game: str, output: Any) -> None:
        """Release `output` once all that is in memory of `game` is durable."""
        batch = self.batches.holding(game)
        if batch is None:
            self.asks.tell(Release([output]))
        else:
            batch.outputs.append(output)

    def commit(self) -> None:
        """Append what was proposed, unless an append is under way already."""
        if self.serving and self.ready() and self.batches.flight is None:
            if self.batches.open.records:
                self.send(self.batches.start())
            elif self.sealed and not self._flushed:
                self._flushed = True
                self.asks.tell(Flushed())

    def ready(self) -> bool:
        """Whether a batch may be sent just now, as far as the mode goes."""
        return True

    def send(self, batch: Batch) -> None:
        """Append the batch that is in flight now."""
        raise NotImplementedError

    def landed(self) -> None:
        """The batch in flight is durable: release its outputs, send what waits."""
        self.release_batch(self.batches.landed())
        self._next()

    def release_batch(self, batch: Batch) -> None:
        """Let it be known what is in `batch`."""
        self.asks.tell(Release(batch.outputs, batch.records))

    def _next(self) -> None:
        self.commit()

    def drop(self) -> None:
        """Nothing in flight or behind it happened: its games must be loaded anew."""
        self.asks.tell(Drop(*self.batches.clear()))
        self._next()

    # --- the end --------------------------------------------------------------------------------

    def seal(self) -> None:
        """Take no more commands; `Flushed` comes when all is durable."""
        self.sealed = True
        self.commit()

    def release(self) -> None:
        """Be the owner no more, after `Flushed` and what it asks for."""
        self.step_down("released")

    def superseded(self, epoch: int) -> None:
        """Somebody says that the partition's epoch is `epoch`."""
        if epoch > self.epoch:
            self.step_down(f"epoch {epoch} was given to somebody else")

    def step_down(self, reason: str) -> None:
        """Stop at once. What is under way may still land, but nobody is told."""
        if not self.closed:
            self.closed = True
            self.serving = False
            self.asks.forget_all()
            self.asks.tell(StepDown(reason, self.batches.clear()[1]))
