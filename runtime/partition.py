"""One partition of the games: commands in, durable events out. The heart of the runtime.

    command -> decide -> events -> evolve (in memory, at once)
                            |
                            +-> the journal's open batch -> one append -> everybody who watches

Output commit: whatever is said about a game (event, repeat, rejection, state, snapshot) waits until
the state that it was computed from is in the log. So an answer never tells what a crash can undo.
"""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop, Event
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from random import Random
from time import monotonic, time
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from actors.behaviour import Context, Rejected, Repeated
from persistence.hot_state import HotState
from persistence.log import Claim, EventLog, LogError
from persistence.snapshots import SnapshotStore
from runtime import marks
from runtime.audience import Audience
from runtime.batch import Batch, Sink
from runtime.behaviours import Kind
from runtime.cell import Cell, stamp
from runtime.effects import Effects
from runtime.history import unpack_events
from runtime.journal import Journal
from runtime.keeping import Keeping
from runtime.owntime import OwnTime
from runtime.presence import away
from runtime.residents import Failed, Found, Residents
from runtime.returning import Returning
from runtime.saving import Loader, Saver
from runtime.settings import ShardSettings
from runtime.wire import AwayOut, CommandIn, DoneOut, MovedOut, RefusedOut

if TYPE_CHECKING:
    from runtime.warming import Warming

_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
_NOBODY: Mapping[str, int] = {}
_AWAY_MS = 1000
_LONGEST_ID = 128


class Surroundings(Struct, frozen=True):
    """What a shard lends to each of its partitions."""

    loop: AbstractEventLoop
    kinds: dict[str, Kind]
    log: EventLog
    store: SnapshotStore
    loader: Loader
    saver: Saver
    effects: Effects
    settings: ShardSettings
    spawn: Callable[[Coroutine[Any, Any, None]], None]
    lost: Callable[[Partition], None]
    overloaded: Callable[[], bool]
    agree: Callable[[], Awaitable[None]]
    """Learn which versions may be written; raises `runtime.formats.Unfit`."""
    hot: HotState | None = None
    woken: Callable[[], None] = lambda: None
    """Called before time is looked at: if the whole process stood still, nobody is charged."""


class Partition:
    """The single writer of its games, from the claim of an epoch to its loss."""

    def __init__(self, claim: Claim, around: Surroundings, asked_at: float | None = None) -> None:
        """Serve what was claimed. `runtime.opening` fills in what the log holds already.

        `asked_at` is when the claim was begun, by the monotonic clock: since then no more time has
        gone by than that, so a wall clock that is further ahead of the log's is wrong.
        """
        self.id = claim.partition
        self.epoch = claim.epoch
        self.around = around
        now = around.loop.time()
        self.residents = Residents(around.kinds, around.loader, around.settings, now)
        self.cells = self.residents.cells
        self.audience = Audience(self.id, self.epoch, self.cells)
        self.returning = Returning(self.audience)
        self.own_time = OwnTime(self, claim.outages)
        self.residents.activated = self._activated
        self.journal = Journal(claim, around.log, around.settings, around.loop, self)
        self.keeping = Keeping(self)
        self.closed = False
        self.revived = Event()
        """Set once every game of the log's tail is in memory (see `runtime.opening`)."""
        self.warming: Warming | None = None
        """Writes what is durable to the hot state, if there's one (see `runtime.opening`)."""
        self.checkpointed = claim.checkpoint
        self.events = 0
        utc = max(time() * 1000, claim.at)
        if claim.at and asked_at is not None:
            utc = min(utc, claim.at + (monotonic() - asked_at) * 1000)
        self._ahead = utc - monotonic() * 1000
        """What makes the process's monotonic clock the owner's, in ms."""
        self._random = Random()  # noqa: S311  (colours of the pieces, not secrets)

    def _activated(self, cell: Cell) -> None:
        self.returning.arrived(cell, self.now())
        self.own_time.activated(cell)

    def now(self) -> int:
        """Return the owner's clock, in ms since the epoch; it never jumps or runs backwards."""
        return int(self._ahead + monotonic() * 1000)

    def seed(self) -> int:
        """Return 64 random bits for a behaviour."""
        return self._random.getrandbits(64)

    def witness(self, at: int) -> None:
        """Never fall behind `at`, the time of an event that another owner wrote."""
        self._ahead = max(self._ahead, at - monotonic() * 1000)

    # --- commands ----------------------------------------------------------------------------

    def command(self, link: Sink, ask: CommandIn) -> None:
        """Execute a command; its answer goes to `link` once it's durable."""
        cell = self.cells.get(ask.game)
        if self.closed:
            link.push(MovedOut(ask.reply, self.id))
        elif self.journal.stuck:
            link.push(AwayOut(ask.reply, _AWAY_MS))
        elif cell is not None:
            self._execute(cell, link, ask)
        elif ask.fresh and ask.command == "create":
            if self.around.overloaded():
                link.push(AwayOut(ask.reply, _AWAY_MS))
            else:
                self._create(link, ask)
        else:
            self.find(ask.game, partial(self._found, link, ask))

    def find(self, game: str, then: Callable[[Found], None]) -> None:
        """Call `then` with the game's live cell, or why there is none."""
        self.residents.find(game, then)

    def _found(self, link: Sink, ask: CommandIn, found: Found) -> None:
        if self.closed:
            link.push(MovedOut(ask.reply, self.id))
        elif isinstance(found, Cell):
            self._execute(found, link, ask)
        elif found is None and ask.command == "create":
            self._create(link, ask)
        else:
            self.excuse(link, ask.reply, found)

    def excuse(self, link: Sink, reply: int, found: Exception | None) -> None:
        """Say why a game can't be had."""
        if found is None:
            link.push(self._refusal(reply, "no_such_game", "There is no such game."))
        elif isinstance(found, Failed):
            link.push(self._refusal(reply, "game_failed", str(found)))
        else:
            link.push(AwayOut(reply, _AWAY_MS))

    def quarantine(self, link: Sink, reply: int, game: str, error: Exception) -> None:
        """A game's behaviour raised where nobody expected it: it answers nothing any more."""
        failed = self.residents.fail(game, f"{type(error).__name__}: {error}")
        if reply:
            self.excuse(link, reply, failed)

    def _refusal(self, reply: int, code: str, detail: str) -> RefusedOut:
        return RefusedOut(reply, self.id, self.epoch, code, detail)

    def _create(self, link: Sink, ask: CommandIn) -> None:
        if "\0" in ask.game or not 0 < len(ask.game) <= _LONGEST_ID:
            detail = f"A game's id has 1 to {_LONGEST_ID} characters, none of them NUL."
            link.push(self._refusal(ask.reply, "invalid_request", detail))
            return
        kind = self.around.kinds.get(ask.kind or "")
        if kind is None:
            detail = f"There is no kind of game {ask.kind!r}."
            link.push(self._refusal(ask.reply, "invalid_request", detail))
        elif kind.agreed == 0:
            detail = f"Not every part of the system knows games of {kind.name} yet."
            link.push(self._refusal(ask.reply, "invalid_request", detail))
        else:
            self._execute(Cell(ask.game, kind), link, ask)

    def _execute(self, cell: Cell, link: Sink, ask: CommandIn) -> None:
        """Find out whether the command is new; if so, decide it."""
        cell.touched = self.residents.now
        known = cell.kind.commands.get(ask.command)
        if known is None:
            detail = f"A game of {cell.kind.name} knows no command {ask.command!r}."
            self.say(cell, link, self._refusal(ask.reply, "unknown_command", detail))
            return
        decoder, wants_presence = known
        try:
            command = decoder.decode(ask.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self.say(cell, link, self._refusal(ask.reply, "invalid_request", str(error)))
            return
        mark = b""
        keyed = ask.key is not None and not (ask.drawn and command.known_again)
        if keyed or ask.command == "create":
            mark = self._mark(cell, ask, command)
            try:
                seq = marks.find(cell.marks, mark)
            except marks.KeyReused:
                self.say(cell, link, self._taken(ask))
                return
            if seq is not None:
                self._repeat(cell, link, ask.reply, seq)
                return
            if cell.seq and ask.command == "create":
                self.say(cell, link, self._taken(ask))
                return
        self._decide(
            cell, link, ask, command, mark, self._away(cell) if wants_presence else _NOBODY
        )

    def _mark(self, cell: Cell, ask: CommandIn, command: Any) -> bytes:
        seat = marks.NOBODY
        if cell.seq:
            for i, (_, user) in enumerate(cell.kind.outline(cell.state).seats):
                if user == ask.user:
                    seat = i
                    break
        command.id = command.game = None  # the envelope isn't the command
        return marks.mark(seat, ask.user, ask.key or "", _encode(command))

    def _taken(self, ask: CommandIn) -> RefusedOut:
        if ask.key is not None:
            return self._refusal(ask.reply, "key_reused", "The key was used with another command.")
        return self._refusal(ask.reply, "game_exists", "Another game has this id.")

    def _away(self, cell: Cell) -> Mapping[str, int]:
        if cell.state is None:
            return _NOBODY
        outline = cell.kind.outline(cell.state)
        return away(cell.presence, outline)

    def _decide(
        self,
        cell: Cell,
        link: Sink,
        ask: CommandIn,
        command: Any,
        mark: bytes,
        away: Mapping[str, int],
    ) -> None:
        held = ask.held_ms
        if cell.seq and cell.at < self.own_time.until:
            held = self.own_time.beside(cell, held)
            self.own_time.resume(cell)
            if cell.game in self.residents.failed:
                self.excuse(link, ask.reply, Failed(self.residents.failed[cell.game]))
                return
        seed, now = self.seed(), self.now()
        kind, rtt = cell.kind, ask.round_trip_ms
        context = Context(
            ask.game, now, ask.user, rtt, held, seed, away, kind.version, ask.thought_ms
        )
        try:
            events = kind.decide(cell.state, command, context)
            if not events:
                raise Rejected("no_effect", "That changes nothing.")
            if cell.seq + len(events) > self.around.settings.history_events:
                raise Rejected("too_many_events", "The game has as many events as a game may have.")
        except Rejected as no:
            self.say(cell, link, self._refusal(ask.reply, no.code, no.detail))
        except Repeated as again:
            self._repeat(cell, link, ask.reply, again.seq)
        except Exception:  # noqa: BLE001  (a game's own failure stays its own)
            _log.exception("game %s: %s failed", cell.game, ask.command)
            self.say(
                cell, link, self._refusal(ask.reply, "game_failed", "The game's rules failed.")
            )
        else:
            self.record(cell, events, now, mark, (link, ask.reply))

    def _repeat(self, cell: Cell, link: Sink, reply: int, seq: int) -> None:
        """Answer with event `seq`, as it was answered the first time."""
        if seq > cell.saved:
            data = cell.events(seq - 1, seq)[0]
            self.say(cell, link, DoneOut(reply, self.id, self.epoch, seq, data, True))
            return

        def read(events: Sequence[bytes] | LogError) -> None:
            if isinstance(events, LogError):
                link.push(AwayOut(reply, _AWAY_MS))
            else:
                link.push(DoneOut(reply, self.id, self.epoch, seq, events[seq - 1], True))

        self.history(cell.game, read)

    def history(self, game: str, then: Callable[[Sequence[bytes] | LogError], None]) -> None:
        """Call `then` with the game's stored events from seq 1, or with why they can't be read."""

        async def read() -> None:
            try:
                chunks = await self.around.store.history(game)
            except LogError as error:
                then(error)
            else:
                then(unpack_events(chunks))

        self.around.spawn(read())

    def say(self, cell: Cell, link: Sink, message: Any) -> None:
        """Push a message about a cell's present state, once that is durable."""
        if cell.batch is None:
            link.push(message)
        else:
            cell.batch.outputs.append((link, message))

    # --- events ------------------------------------------------------------------------------

    def record(
        self,
        cell: Cell,
        events: Sequence[Any],
        now: int,
        mark: bytes = b"",
        asker: tuple[Sink | None, int] = (None, 0),
    ) -> None:
        """Evolve the cell by `events` and put them in the journal."""
        kind, game, state, seq = cell.kind, cell.game, cell.state, cell.seq
        values: list[bytes] = []
        effects: list[Sequence[Any]] = []
        try:
            for event in events:
                seq += 1
                stamp(event, game, seq, now)
                state = kind.evolve(state, event)
                values.append(_encode(event))
                effects.append(kind.effects(event))
                cell.ended = cell.ended or event.ends
            deadline = kind.next_deadline(state)
        except Exception as error:  # noqa: BLE001  (a game's own failure stays its own)
            # The state may be half changed: it's never stored. The log has nothing of it.
            _log.exception("game %s: evolve failed", game)
            failed = self.residents.fail(game, f"{type(error).__name__}: {error}")
            if asker[0] is not None:
                asker[0].push(self._refusal(asker[1], "game_failed", str(failed)))
            return
        if not cell.seq:
            self.residents.add(cell)
        if mark:
            cell.marks = marks.remember(cell.marks, mark, cell.seq + 1)
        cell.state, cell.at = state, now
        cell.remember(values)
        offset = self.journal.end
        self.journal.add(cell, values, mark, asker)
        self.own_time.deadlines.arm(cell, deadline)
        self.events += len(values)
        for i, commands in enumerate(effects):
            if commands:
                key = f"{game}:{seq - len(events) + 1 + i}"
                self.journal.sending(offset + i, commands)
                self.journal.batch.effects.append(
                    partial(self.send_effects, key, offset + i, commands)
                )

    def send_effects(self, key: str, offset: int, effects: Sequence[Any]) -> None:
        """Send the commands that follow from the durable event at `offset` to other games."""
        for i, effect in enumerate(effects):
            self.around.effects.send(f"{key}:{i}", effect, partial(self.journal.sent, offset))

    def stalled(self, seconds: float) -> None:
        """Nobody saw an event for so long, nor could answer it: nobody is charged for that."""
        now = self.now()
        self.own_time.excuse(now - int(1000 * seconds), now)

    def committed(self, batch: Batch) -> None:
        """Tell everybody what is durable now."""
        if self.warming is not None:
            self.warming.heard.append(batch.records)
        publish, every = self.audience.publish, self.around.settings.snapshot_events
        for note in batch.notes:
            note.cell.durable = note.seq
            publish(note)
        for link, message in batch.outputs:
            link.push(message)
        for send in batch.effects:
            send()
        for note in batch.notes:
            cell = note.cell
            if cell.batch is batch and note.seq == cell.seq:
                cell.batch = None
                if cell.ended or note.seq - cell.saved >= every:
                    self.keeping.save(cell)
            for link, ask in self.audience.polls(cell.game):
                self.answer_poll(cell, link, ask)

    answer_poll: Callable[[Cell, Sink, Any], None]
    """Set by `runtime.reading`, which knows how events are read."""

    def dropped(self, batch: Batch) -> None:
        """These won't be answered from here: whoever asked looks for the next owner."""
        for note in batch.notes:
            if note.reply and note.sink is not None:
                note.sink.push(MovedOut(note.reply, self.id))
        for link, message in batch.outputs:
            link.push(MovedOut(message.reply, self.id))

    # --- housekeeping ------------------------------------------------------------------------

    def fenced(self) -> None:
        """Somebody else owns the partition."""
        self.close()
        self.around.lost(self)

    def seal(self) -> None:
        """Take no more commands: whoever asks looks for the next owner. What was begun goes on."""
        self.closed = True

    def close(self) -> None:
        """Stop at once: answer nothing more from here."""
        self.closed = True
        self.revived.set()  # there's nothing to wait for any more
        self.journal.close()
        self.around.log.release(self.id, self.epoch)
        self.own_time.deadlines.close()
        self.audience.dismiss(self.returning.links())
