"""The beginning of a subscription: the whole game, or just what was missed."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from gateway.frames import Resumed, SnapshotOut, out, text_frame
from gateway.names import NameBook
from gateway.problems import Problem
from gateway.socket import GameSocket
from gateway.topics import Subscriber, Topics
from gateway.views import Views
from runtime.asks import Missed, Packed

_log = logging.getLogger(__name__)


class Openings:
    """Makes and sends the first frames."""

    def __init__(self, views: Views, names: NameBook, topics: Topics) -> None:
        """Show games by `views`; `topics` hears who plays them."""
        self._topics = topics
        self._views = views
        self._names = names
        self._loading: set[asyncio.Task[None]] = set()

    def send(
        self,
        game: str,
        opening: Packed | Missed,
        subscriber: Subscriber,
        socket: GameSocket,
        resume: str | None,
    ) -> None:
        """Send the beginning, and whatever came meanwhile behind it.

        Raises:
            Problem: If the game can't be shown. Nothing was sent.
        """
        if isinstance(opening, Missed):
            head = out(Resumed(game, opening.seq, resume))
            events = b"".join(map(text_frame, opening.events))
            socket.begin(head + events + subscriber.started())
            return
        try:
            kind, state = self._views.unpack(opening)
            query = kind.queries["state"][0]()
            answer = self._views.answer(kind, state, query, subscriber.user)
            view, found, missing = self._views.game(kind, game, opening.seq, answer)
            seats = [user for _, user in kind.behaviour.outline(state).seats if user is not None]
        except Problem:
            raise
        except Exception as error:  # (a game's own failure stays its own)
            _log.exception("game %s can't be shown", game)
            raise Problem("game_failed", "The game can't be shown.") from error
        self._topics.seated(game, seats, subscriber)
        snapshot = SnapshotOut(game, opening.seq, view, resume)
        if not missing:
            socket.begin(out(snapshot) + subscriber.started())
            return
        task = asyncio.get_running_loop().create_task(
            self._named(snapshot, found, missing, subscriber, socket)
        )
        self._loading.add(task)
        task.add_done_callback(self._loading.discard)

    async def _named(
        self,
        snapshot: SnapshotOut,
        found: list[dict[str, Any]],
        missing: list[str],
        subscriber: Subscriber,
        socket: GameSocket,
    ) -> None:
        await self._names.load(found, missing)
        if not subscriber.left:
            socket.begin(out(snapshot) + subscriber.started())
