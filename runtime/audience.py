"""Who listens to the games of one partition: links that watch, long polls, presence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from runtime.batch import Note, Sink
from runtime.cell import Cell
from runtime.presence import Presence, presence_frame
from runtime.wire import AttendIn, DoneOut, EventOut, EventsIn, LostOut, MovedOut, PresenceOut


class _Poll(NamedTuple):
    link: Sink
    ask: EventsIn
    timer: asyncio.TimerHandle


class Audience:
    """Sends each durable event once to every link that watches its game."""

    def __init__(self, partition: int, epoch: int, cells: Mapping[str, Cell]) -> None:
        """Speak for `partition` under `epoch`; `cells` are its live games."""
        self._partition = partition
        self._epoch = epoch
        self._cells = cells
        self._groups: dict[tuple[Sink, ...], tuple[Sink, ...]] = {}
        """Every group of links that watches some game, once: there are few gateways."""
        self._polls: dict[str, list[_Poll]] = {}
        self._announced: set[str] = set()

    def watch(self, cell: Cell, link: Sink) -> None:
        """Let `link` have every event of the game from now on."""
        if link not in cell.links:
            links = (*cell.links, link)
            cell.links = self._groups.setdefault(links, links)

    def unwatch(self, cell: Cell, link: Sink) -> None:
        """Stop sending the game to `link`."""
        if link in cell.links:
            links = tuple(other for other in cell.links if other is not link)
            if not links:
                self._announced.discard(cell.game)
            cell.links = self._groups.setdefault(links, links)

    def leave(self, link: Sink, now: int) -> list[Cell]:
        """Forget a link that broke; return the games whose presence changed by it."""
        for game, polls in list(self._polls.items()):
            for poll in [poll for poll in polls if poll.link is link]:
                self._drop(game, poll)
        changed: list[Cell] = []
        for cell in self._cells.values():
            if cell.links:
                self.unwatch(cell, link)
            if cell.presence is not None and self._attend(cell, link, (), 0, now):
                changed.append(cell)
        self._groups = {links: links for links in self._groups if link not in links}
        return changed

    def watched(self, cell: Cell) -> bool:
        """Return whether anybody listens."""
        return bool(cell.links) or cell.game in self._polls

    def publish(self, note: Note) -> None:
        """Send a durable event to its watchers, and the answer to whoever asked for it."""
        cell, seq, data, asker, reply = note.cell, note.seq, note.data, note.sink, note.reply
        links = cell.links
        if links:
            message = None
            for link in links:
                if link is asker and reply:
                    link.push(EventOut(self._partition, self._epoch, cell.game, seq, data, reply))
                    asker = None
                else:
                    if message is None:
                        message = EventOut(self._partition, self._epoch, cell.game, seq, data, 0)
                    link.push(message)
        if reply and asker is not None:
            asker.push(DoneOut(reply, self._partition, self._epoch, seq, data, False))

    def poll(self, link: Sink, ask: EventsIn, answer: Callable[[Sink, EventsIn], None]) -> None:
        """Call `answer` at the game's next event, or after the asked wait."""
        loop = asyncio.get_running_loop()

        def expire() -> None:
            self._drop(ask.game, poll)
            answer(link, ask)

        poll = _Poll(link, ask, loop.call_later(ask.wait_ms / 1000, expire))
        self._polls.setdefault(ask.game, []).append(poll)

    def polls(self, game: str) -> Sequence[tuple[Sink, EventsIn]]:
        """Take out the long polls that an event of `game` answers."""
        if not self._polls:
            return ()
        polls = self._polls.pop(game, [])
        for poll in polls:
            poll.timer.cancel()
        return [(poll.link, poll.ask) for poll in polls]

    def _drop(self, game: str, poll: _Poll) -> None:
        poll.timer.cancel()
        polls = self._polls.get(game)
        if polls and poll in polls:
            polls.remove(poll)
            if not polls:
                del self._polls[game]

    # --- presence ----------------------------------------------------------------------------

    def attend(self, cell: Cell, link: Sink, ask: AttendIn, now: int) -> bool:
        """Take one gateway's connections to a game; return whether the game's presence changed."""
        return self._attend(cell, link, ask.users, ask.watchers, now)

    def _attend(
        self, cell: Cell, link: Sink, users: Sequence[str], watchers: int, now: int
    ) -> bool:
        presence = cell.presence or Presence()
        seats = cell.kind.outline(cell.state).seats
        changed = presence.update(link, users, watchers, now, [user for _, user in seats])
        cell.presence = None if presence.empty() else presence
        return changed

    def announce(self, cell: Cell) -> None:
        """Tell every watcher who is connected to the game now."""
        if cell.links:
            outline = cell.kind.outline(cell.state)
            data = presence_frame(cell.game, cell.presence or Presence(), outline)
            for link in cell.links:
                link.push(PresenceOut(cell.game, data))
            self._announced.add(cell.game)

    def announced(self, cell: Cell) -> bool:
        """Return whether this owner ever told the game's watchers who is connected."""
        return cell.game in self._announced

    def dismiss(self, others: set[Sink]) -> None:
        """Tell every link that the partition is no longer ours; `others` will hear of it, too."""
        links = {link for cell in self._cells.values() for link in cell.links}
        for link in links | others:
            link.push(LostOut(self._partition))
        for polls in self._polls.values():
            for poll in polls:
                poll.timer.cancel()
                poll.link.push(MovedOut(poll.ask.reply, self._partition))
        for cell in self._cells.values():
            cell.links, cell.presence = (), None
        self._polls.clear()
        self._groups.clear()
