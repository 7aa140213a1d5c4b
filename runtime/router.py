"""How a command finds the owner of its game, wherever that lives just now.

A router holds the routing table and one link to every shard. It retries what may be retried
(every command is idempotent) within the caller's deadline, and re-establishes watches when an
owner changes. It's what gateways, effects and handles talk to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runtime.asks import Answer, Ask, Away, Listener, Missed, Packed, Refused


class Router:
    """The one door to all games. Not thread-safe: it belongs to one event loop."""

    def send(self, ask: Ask, timeout: float, on_answer: Callable[[Answer], None]) -> None:
        """Send a command; `on_answer` is called exactly once, within `timeout` seconds.

        If the asker's game is watched here, the answer `Done(seq)` is given just before the
        listener's `on_event(seq)`, in the same turn of the loop.
        """
        raise NotImplementedError

    async def ask(self, ask: Ask, timeout: float) -> Answer:
        """Send a command and wait for its answer."""
        raise NotImplementedError

    async def state(self, game: str, timeout: float) -> Packed | Refused | Away:
        """Return the game's durable state."""
        raise NotImplementedError

    async def events(
        self, game: str, after: int, wait: float, timeout: float
    ) -> Missed | Refused | Away:
        """Return the events after seq `after`; if there are none yet, wait up to `wait` seconds."""
        raise NotImplementedError

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
        raise NotImplementedError

    def unwatch(self, game: str) -> None:
        """End the watch of a game here."""
        raise NotImplementedError

    def attend(self, game: str, users: Sequence[str], watchers: int) -> None:
        """Tell who of the watchers here is connected: `users` (each once) and how many in all."""
        raise NotImplementedError

    async def status(self) -> dict[str, object]:
        """Return the body of GET /shards."""
        raise NotImplementedError
