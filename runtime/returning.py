"""Watches that come back before their games do.

After a take-over gateways take up thousands of watches at once, while most of the games wait for
their turn to be replayed. What a watcher missed is in the log's tail as it stands, so it's told at
once; the watch itself is kept here until its game lives.
"""

from __future__ import annotations

from msgspec.structs import replace

from runtime.audience import Audience
from runtime.batch import Sink
from runtime.cell import Cell
from runtime.wire import AttendIn, Rewatch


class Returning:
    """The watches of one partition's games that don't live yet."""

    def __init__(self, audience: Audience) -> None:
        """Hand them to `audience` when their games come to life."""
        self._audience = audience
        self._waiting: dict[str, dict[Sink, Rewatch]] = {}

    def add(self, link: Sink, again: Rewatch) -> None:
        """Keep a watch until its game lives."""
        self._waiting.setdefault(again.game, {})[link] = again

    def attend(self, link: Sink, ask: AttendIn) -> None:
        """Note that the attendance at a gateway changed meanwhile."""
        waiting = self._waiting.get(ask.game, {})
        if link in waiting:
            changed = replace(waiting[link], users=ask.users, watchers=ask.watchers, untold=True)
            waiting[link] = changed

    def unwatch(self, link: Sink, game: str) -> None:
        """Drop a watch."""
        self._waiting.get(game, {}).pop(link, None)

    def leave(self, link: Sink) -> None:
        """Drop all watches of a link that broke."""
        for waiting in self._waiting.values():
            waiting.pop(link, None)

    def arrived(self, cell: Cell, now: int) -> None:
        """A game lives: from here on its watchers are the audience's."""
        for link, again in self._waiting.pop(cell.game, {}).items():
            self.take_up(cell, link, again, now)

    def take_up(self, cell: Cell, link: Sink, again: Rewatch, now: int) -> None:
        """Watch a live game for a link that watched it at another owner."""
        audience = self._audience
        audience.watch(cell, link)
        if again.watchers:
            attend = AttendIn(0, cell.game, again.users, again.watchers)
            changed = audience.attend(cell, link, attend, now)
            # Nobody has left: whoever watches knows from the owner before who is here.
            if changed and (again.untold or audience.announced(cell)):
                audience.announce(cell)

    def links(self) -> set[Sink]:
        """Return the links that wait."""
        return {link for waiting in self._waiting.values() for link in waiting}
