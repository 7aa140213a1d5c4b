"""Who listens to the games of one partition: links that watch, long polls, presence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from runtime.batch import Note, Sink
from runtime.cell import Cell
from runtime.presence import Presence, presence_frame
from runtime.wire import AttendIn, DoneOut, EventOut, EventsIn, LostOut, PresenceOut


class _Poll(NamedTuple):
    link: Sink
    ask: EventsIn
    timer: asyncio.TimerHandle


class Audience:
    """Sends each durable event once to every link that watches its game."""

    def __init__(self, partition: int, epoch: int) -> None:
        """Speak for `partition` under `epoch`."""
        self._partition = partition
        self._epoch = epoch
        self._watching: dict[str, list[Sink]] = {}
        self._polls: dict[str, list[_Poll]] = {}
        self._presence: dict[str, Presence] = {}

    def watch(self, game: str, link: Sink) -> None:
        """Let `link` have every event of `game` from now on."""
        links = self._watching.setdefault(game, [])
        if link not in links:
            links.append(link)

    def unwatch(self, game: str, link: Sink) -> None:
        """Stop sending `game` to `link`."""
        links = self._watching.get(game)
        if links and link in links:
            links.remove(link)
            if not links:
                del self._watching[game]

    def leave(self, link: Sink, now: int) -> list[str]:
        """Forget a link that broke; return the games whose presence changed by it."""
        for game in [game for game, links in self._watching.items() if link in links]:
            self.unwatch(game, link)
        for game, polls in list(self._polls.items()):
            for poll in [poll for poll in polls if poll.link is link]:
                self._drop(game, poll)
        return [
            game for game, presence in self._presence.items() if presence.update(link, (), 0, now)
        ]

    def watched(self, game: str) -> bool:
        """Return whether anybody listens."""
        return game in self._watching or game in self._polls

    def publish(self, note: Note) -> None:
        """Send a durable event to its watchers, and the answer to whoever asked for it."""
        cell, seq, data, asker, reply = note
        links = self._watching.get(cell.game)
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

    def presence(self, game: str) -> Presence | None:
        """Return what is known of a game's connections."""
        return self._presence.get(game)

    def attend(self, link: Sink, ask: AttendIn, now: int) -> bool:
        """Take one gateway's connections to a game; return whether the game's presence changed."""
        presence = self._presence.get(ask.game)
        if presence is None:
            presence = self._presence[ask.game] = Presence()
        return presence.update(link, ask.users, ask.watchers, now)

    def announce(self, cell: Cell) -> None:
        """Tell every watcher who is connected to the game now."""
        presence = self._presence.get(cell.game)
        if presence is not None and cell.state is not None:
            data = presence_frame(cell.game, presence, cell.kind.outline(cell.state))
            for link in self._watching.get(cell.game, ()):
                link.push(PresenceOut(cell.game, data))

    def forget(self, game: str) -> None:
        """Drop the presence of a game that leaves memory."""
        self._presence.pop(game, None)

    def dismiss(self) -> None:
        """Tell every link that the partition is no longer ours."""
        links = {id(link): link for some in self._watching.values() for link in some}
        for link in links.values():
            link.push(LostOut(self._partition))
        for polls in self._polls.values():
            for poll in polls:
                poll.timer.cancel()
        self._watching.clear()
        self._polls.clear()
        self._presence.clear()
