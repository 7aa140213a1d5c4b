"""One player's side of a game: what they were told of it, and what they asked and await."""

from __future__ import annotations

from time import perf_counter
from typing import NamedTuple

from bench.seat import Chair, Frame

_RESEND_SECONDS = 5.0
_SUBSCRIBE_AGAIN_SECONDS = 0.1


class Asked(NamedTuple):
    """A command without an answer yet; `at` is when it was sent last."""

    name: str
    text: str
    at: float


class Side:
    """What a player knows and awaits. It goes from game to game, but stays on its chair.

    Attributes:
        seat: The chair.
        seq: The newest event that came.
        asked: The command that isn't answered yet.
        ended: The event that ended the game.
        subscribed: Whether the game's events come here, or need no waiting for.
    """

    def __init__(self, seat: Chair) -> None:
        self.seat = seat
        self.seq = 0
        self.asked: Asked | None = None
        self.ended: Frame | None = None
        self.subscribed = True
        self._game = ""
        self._subscribed_at = 0.0

    def enter(self, game: str, seq: int) -> None:
        """Follow a new game from its event `seq` on."""
        self._game = game
        self.seq = seq
        self.asked = self.ended = None
        self.subscribe()

    def leave(self) -> None:
        """Follow the game no more."""
        self.asked = None
        self.seat.send(f'{{"type":"unsubscribe","game":"{self._game}"}}')

    def subscribe(self) -> None:
        """Ask for all events after the newest that came."""
        self.subscribed = False
        self._subscribed_at = perf_counter()
        self.seat.send(f'{{"type":"subscribe","game":"{self._game}","after":{self.seq}}}')

    def lost(self) -> None:
        """Note that the socket is gone: until it's back there's nothing to wait for."""
        self.subscribed = True

    def ask(self, name: str, text: str) -> None:
        """Send a command, whose id is `name`."""
        self.asked = Asked(name, text, perf_counter())
        self.seat.send(text)

    def answered(self, name: str | None) -> None:
        """Note that the command called `name` has its answer."""
        if self.asked is not None and self.asked.name == name:
            self.asked = None

    def ask_again(self) -> bool:
        """Send what isn't answered again, under its own id; return whether there was a command."""
        waited = perf_counter() - self._subscribed_at
        if not self.subscribed and waited > _SUBSCRIBE_AGAIN_SECONDS:
            self.subscribe()
        if self.asked is None:
            return False
        self.ask(self.asked.name, self.asked.text)
        return True

    def unanswered_for_long(self, now: float) -> bool:
        """Return whether it's time to ask again."""
        since = now if self.asked is None else self.asked.at
        if not self.subscribed:
            since = min(since, self._subscribed_at)
        return now - since > _RESEND_SECONDS and self.seat.connected

    def take(self, seq: int) -> str:
        """Note that event `seq` came; return what is wrong with that, or ""."""
        expected = self.seq + 1
        if seq == expected:
            self.seq = seq
            return ""
        self.seq = max(self.seq, seq)
        return "event twice" if seq < expected else "event missing"
