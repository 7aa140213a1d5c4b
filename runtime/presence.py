"""Who is connected to a game, as all gateways together see it. Never durable, never on the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from actors.behaviour import Outline
from runtime.batch import Sink

_encode = msgspec.json.Encoder().encode


class Presence:
    """One game's connected users, by the gateway that holds their sockets."""

    __slots__ = ("_here", "left")

    def __init__(self) -> None:
        self._here: dict[Sink, tuple[frozenset[str], int]] = {}
        self.left: dict[str, int] = {}
        """User -> when the last connection closed, in ms since the epoch."""

    def update(self, link: Sink, users: Sequence[str], watchers: int, now: int) -> bool:
        """Take one gateway's whole truth; return whether anything changed for the game."""
        before = self.users(), self.watchers()
        if watchers:
            self._here[link] = (frozenset(users), watchers)
        else:
            self._here.pop(link, None)
        after = self.users()
        for user in before[0] - after:
            self.left[user] = now
        for user in after:
            self.left.pop(user, None)
        return before != (after, self.watchers())

    def users(self) -> frozenset[str]:
        """Return who has a connection anywhere."""
        return frozenset[str]().union(*(users for users, _ in self._here.values()))

    def watchers(self) -> int:
        """Return how many sockets watch the game."""
        return sum(count for _, count in self._here.values())

    def empty(self) -> bool:
        """Return whether there's nothing worth keeping."""
        return not self._here and not self.left


def away(presence: Presence | None, outline: Outline) -> Mapping[str, int]:
    """Return the seated users whose last connection closed, each with the moment since when.

    Who was never seen here isn't away: they may play over plain HTTP. So a player who left
    before a take-over, of which this owner can't know, isn't either.
    """
    left = dict(presence.left) if presence else {}
    return {user: left[user] for _, user in outline.seats if user is not None and user in left}


def presence_frame(game: str, presence: Presence, outline: Outline) -> bytes:
    """Return the frame that tells a game's sockets who is there."""
    here = presence.users()
    frame: dict[str, object] = {"type": "presence", "game": game}
    frame.update((name, user in here) for name, user in outline.seats)
    frame["watchers"] = presence.watchers()
    return _encode(frame)
