"""How a command finds the owner of its game, wherever that lives just now.

A router holds the routing table and one link to every shard. It retries what may be retried
(every command is idempotent) within the caller's deadline, and re-establishes watches when an
owner changes. It's what gateways, effects and handles talk to.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any, Protocol

from runtime.asks import Answer, Ask, Away, Done, Listener, Missed, Packed, Refused
from runtime.link import ClientLink, Unsendable
from runtime.operations import Progress
from runtime.partitions import partition_of
from runtime.pending import Pending, PendingAsks
from runtime.settings import RouterSettings
from runtime.shard_links import Address, ShardLinks
from runtime.table import RoutingTable
from runtime.watches import Watches
from runtime.wire import (
    AttendIn,
    AwayOut,
    CaughtOut,
    CommandIn,
    DoneOut,
    EventOut,
    EventsIn,
    LostOut,
    Message,
    MissedOut,
    MovedOut,
    PackedOut,
    PresenceOut,
    RefusedOut,
    Rewatch,
    RewatchIn,
    StateIn,
    UnwatchIn,
    WatchIn,
)

_log = logging.getLogger(__name__)
_SUBSCRIBE_S = 1.0
_PAUSE_S = 0.2


class Directory(Protocol):
    """The coordinator, as a router needs it."""

    async def routes(self) -> RoutingTable:
        """Return the newest table."""
        ...

    async def suspect(self, address: tuple[str, int]) -> None:
        """Say that the link to the shard at `address` broke."""
        ...

    async def describe(self) -> dict[str, object]:
        """Return the body of GET /shards."""
        ...

    async def operate(self, verb: bytes) -> Progress:
        """Begin an operation; raises `runtime.operations.Refusal`."""
        ...


class Router:
    """The one door to all games. Not thread-safe: it belongs to one event loop."""

    def __init__(
        self,
        name: str,
        secret: bytes,
        settings: RouterSettings,
        coordinator: Directory,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Prepare a router called `name`.

        Args:
            name: Who we are, for the shards' logs.
            secret: The cluster's secret.
            settings: Times and bounds.
            coordinator: Who knows the table. All of it may raise or hang while it's away.
            tls: How links are encrypted, if they are.
        """
        self._name = name
        self._secret = secret
        self._settings = settings
        self._coordinator = coordinator
        self._table = RoutingTable(0, ())
        self._links = ShardLinks(self._new_link, self._linked, self._unlinked, tls)
        self._doubtful = asyncio.Event()
        self._asks = PendingAsks(settings, self._dispatch, self._stale)
        self._watches = Watches(self._rewatch)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._life = secrets.token_urlsafe(9)
        self._keys = count()

    async def start(self) -> None:
        """Fetch the first table and connect to the shards in it, as far as they're there."""
        self._loop = asyncio.get_running_loop()
        self._asks.start(self._loop)
        self.route(await self._coordinator.routes())
        self._spawn(self._subscribe())

    async def _subscribe(self) -> None:
        """Ask for the table every now and then (whoever doesn't is taken for dead), and if need be.

        However many asks wait for an owner: the coordinator has other things to do just then, and
        tells of every change by itself.
        """
        while not self._closed:
            self._doubtful.clear()  # what is doubted from now on, this answer may not know
            try:
                async with asyncio.timeout(1.0):
                    self.route(await self._coordinator.routes())
            except Exception as error:  # noqa: BLE001  (whatever its absence looks like)
                _log.debug("no routing table: %s", error)
            await asyncio.sleep(_PAUSE_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SUBSCRIBE_S):
                    await self._doubtful.wait()

    def route(self, table: RoutingTable) -> None:
        """Take a table, if it's newer than ours."""
        if table.version <= self._table.version:
            return
        before = {route.partition: route for route in self._table.routes}
        self._table = table
        moved: set[int] = set()
        for route in table.routes:
            old = before.get(route.partition)
            if old is not None and (old.epoch, old.address) != (route.epoch, route.address):
                moved.add(route.partition)
        self._links.keep({route.address for route in table.routes if route.address is not None})
        # What was asked of an owner that is none any more is asked of the next one. The first may
        # have done it: then the repeat meets itself.
        self._asks.moved(moved)
        for partition in moved:
            self._watches.moved(partition)
        self._asks.retry()

    @property
    def ready(self) -> bool:
        """Whether every partition has an owner that we're connected to."""
        routes = self._table.routes
        return bool(routes) and all(self._links.get(route.address) for route in routes)

    # --- asking ------------------------------------------------------------------------------

    def send(self, ask: Ask, timeout: float, on_answer: Callable[[Answer], None]) -> None:
        """Send a command; `on_answer` is called exactly once, within `timeout` seconds.

        If the asker's game is watched here, the answer `Done(seq)` is given just before the
        listener's `on_event(seq)`, in the same turn of the loop.

        We may have to repeat it, so it needs a key: our own, if the asker gave none. (A creation
        is known by its game's id.)
        """
        key, drawn = ask.key, False
        if key is None and ask.command != "create":
            key, drawn = f"{self._life}{next(self._keys)}", True

        def message(reply: int, partition: int, held_ms: int, again: bool) -> Message:
            return CommandIn(
                reply,
                partition,
                ask.game,
                ask.command,
                ask.body,
                ask.user,
                key,
                ask.kind,
                ask.fresh and not again,
                ask.round_trip_ms,
                held_ms,
                drawn,
                ask.thought_ms,
            )

        self._begin(ask.game, timeout, message, on_answer)

    async def ask(self, ask: Ask, timeout: float) -> Answer:
        """Send a command and wait for its answer."""
        answered: asyncio.Future[Answer] = self._loop.create_future()
        self.send(ask, timeout, partial(_settle, answered))
        return await answered

    async def state(self, game: str, timeout: float) -> Packed | Refused | Away:
        """Return the game's durable state."""
        answered: asyncio.Future[Any] = self._loop.create_future()

        def message(reply: int, partition: int, _held: int, _again: bool) -> Message:
            return StateIn(reply, partition, game)

        self._begin(game, timeout, message, partial(_settle, answered))
        return await answered

    async def events(
        self, game: str, after: int, wait: float, timeout: float
    ) -> Missed | Refused | Away:
        """Return the events after seq `after`; if there are none yet, wait up to `wait` seconds."""
        answered: asyncio.Future[Any] = self._loop.create_future()
        until = self._loop.time() + wait

        def message(reply: int, partition: int, _held: int, _again: bool) -> Message:
            left = max(0, int(1000 * (until - self._loop.time())))
            return EventsIn(reply, partition, game, after, left)

        self._begin(game, wait + timeout, message, partial(_settle, answered))
        return await answered

    def watch(
        self,
        game: str,
        after: int | None,
        listener: Listener,
        timeout: float,
        on_open: Callable[[Packed | Missed | Refused | Away], None],
    ) -> None:
        """Begin (or join) the watch of a game here, and fetch what a new subscriber needs first.

        `on_open` is called exactly once: with the state (`after` is None), or with the events
        after `after`. Every `on_event` that comes later than it has a higher seq, without a gap;
        those that come earlier the new subscriber must ignore. There's one listener per game and
        router: the first one given stays until `unwatch`.
        """
        if not self._table.partitions:  # no table yet: nobody knows where the game lives
            self._stale()
            on_open(Away())
            return
        self._watches.add(game, partition_of(game, self._table.partitions), listener)

        def message(reply: int, partition: int, _held: int, _again: bool) -> Message:
            return WatchIn(reply, partition, game, after)

        def opened(answer: Any) -> None:
            if isinstance(answer, Packed | Missed):
                self._watches.opened(game, answer.seq)
            on_open(answer)

        self._begin(game, timeout, message, opened)

    def unwatch(self, game: str) -> None:
        """End the watch of a game here."""
        partition = self._watches.remove(game)
        if partition is not None:
            self._tell(partition, UnwatchIn(partition, game))

    def attend(self, game: str, users: Sequence[str], watchers: int) -> None:
        """Tell who of the watchers here is connected: `users` (each once) and how many in all."""
        partition = self._watches.attend(game, users, watchers)
        if partition is None:
            return
        if self._tell(partition, AttendIn(partition, game, users, watchers)):
            self._watches.told(game)

    async def status(self) -> dict[str, object]:
        """Return the body of GET /shards."""
        return await self._coordinator.describe()

    async def operate(self, verb: bytes) -> Progress:
        """Begin an operator's operation; see `runtime.operations`."""
        return await self._coordinator.operate(verb)

    # --- sending -----------------------------------------------------------------------------

    def _begin(
        self,
        game: str,
        timeout: float,
        message: Callable[[int, int, int, bool], Message],
        on_answer: Callable[[Any], None],
    ) -> None:
        partitions = self._table.partitions
        if not partitions:
            self._stale()
            on_answer(Away())
            return
        pending = Pending(
            game, partition_of(game, partitions), message, on_answer, self._loop.time(), timeout
        )
        if not self._asks.add(pending):
            on_answer(Away())

    def _link(self, partition: int) -> ClientLink | None:
        return self._links.get(self._table.routes[partition].address)

    def _dispatch(self, reply: int, pending: Pending) -> bool:
        """Send one ask to its owner; return whether there is one."""
        link = self._link(pending.partition)
        if link is None:
            return False
        if self._watches.behind:
            self._watches.hurry(pending.game)
        held = int(1000 * (self._loop.time() - pending.since))
        link.push(pending.message(reply, pending.partition, held, pending.tries > 0))
        pending.link = link
        pending.tries += 1
        return True

    def _tell(self, partition: int, message: Message) -> bool:
        link = self._link(partition)
        if link is not None:
            link.push(message)
        return link is not None

    def _rewatch(self, partition: int, games: Sequence[Rewatch]) -> bool:
        """Take up watches at the partition's owner; return whether there is one."""
        link = self._link(partition)
        if link is None:
            return False
        link.push(RewatchIn(partition, games))
        return True

    def _stale(self) -> None:
        """Something suggests that the table is old: ask for a new one soon."""
        self._doubtful.set()

    # --- links -------------------------------------------------------------------------------

    def _new_link(self, on_lost: Callable[[ClientLink], None]) -> ClientLink:
        return ClientLink(
            self._loop, self._secret, self._name, self._take, on_lost, self._settings.linger
        )

    def _linked(self, address: Address) -> None:
        for route in self._table.routes:
            if route.address == address:
                self._watches.moved(route.partition)
        self._asks.retry()

    def _unlinked(self, address: Address, link: ClientLink) -> None:
        self._asks.lost(link)
        if not self._closed:
            if any(route.address == address for route in self._table.routes):
                self._spawn(self._suspect(address))
            self._stale()

    async def _suspect(self, address: Address) -> None:
        try:
            await self._coordinator.suspect(address)
        except Exception as error:  # noqa: BLE001  (whatever the coordinator's absence looks like)
            _log.debug("nobody to tell of a broken link: %s", error)

    def _take(self, message: Any) -> None:
        """Take one message of a shard."""
        if type(message) is EventOut:  # nearly all are; a pattern would cost five times this
            self._event(message)
            return
        match message:
            case CaughtOut(partition, epoch, game, seq, events):
                if epoch >= self._table.routes[partition].epoch:
                    self._watches.resumed(game, seq, events)
            case PresenceOut(game, data):
                self._watches.presence(game, data)
            case LostOut(partition):
                self._watches.moved(partition)
                self._stale()
            case MovedOut(reply, _):
                self._asks.postpone(reply)
            case _:
                self._answer(message)

    def _event(self, event: EventOut) -> None:
        partition, game, seq, data = event.partition, event.game, event.seq, event.data
        if event.epoch < self._table.routes[partition].epoch:
            return  # of an owner that is none any more
        if event.reply and (pending := self._asks.take(event.reply)) is not None:
            pending.on_answer(Done(seq, data))
        if not self._watches.event(game, seq, data):
            self._tell(partition, UnwatchIn(partition, game))

    def _answer(self, message: Any) -> None:
        if isinstance(message, AwayOut | Unsendable):  # they tell nothing about the game
            if (pending := self._asks.take(message.reply)) is not None:
                pending.on_answer(_excuse(message))
            return
        if message.epoch < self._table.routes[message.partition].epoch:
            self._asks.postpone(message.reply)
            return
        pending = self._asks.take(message.reply)
        if pending is None:
            return
        match message:
            case DoneOut():
                resent = pending.tries > 1
                pending.on_answer(Done(message.seq, message.data, message.repeated, resent))
            case RefusedOut():
                pending.on_answer(Refused(message.code, message.detail))
            case PackedOut():
                pending.on_answer(Packed(message.kind, message.seq, message.state))
            case MissedOut():
                pending.on_answer(Missed(message.kind, message.seq, message.events))
            case _:
                _log.warning("unexpected %s", type(message).__name__)

    def _spawn(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Hang up."""
        self._closed = True
        self._asks.close()
        self._watches.close()
        await self._links.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _settle(future: asyncio.Future[Any], answer: Any) -> None:
    if not future.done():
        future.set_result(answer)


def _excuse(message: AwayOut | Unsendable) -> Away | Refused:
    if isinstance(message, AwayOut):
        return Away(message.retry_after_ms)
    return Refused("too_large", f"What was asked has {message.size} bytes: it can't be sent.")
