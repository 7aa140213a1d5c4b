"""Who is connected to a game, as all gateways together see it. Never durable, never on the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from actors.behaviour import Outline
from runtime.batch import Sink

_encode = msgspec.json.Encoder().encode


class _Gateway(NamedTuple):
    link: Sink
    users: tuple[str, ...]
    watchers: int


class Presence:
    """One game's connected users, by the gateway that holds their sockets.

    Tuples, because nearly every game has one gateway and two users.
    """

    __slots__ = ("_here", "left")

    def __init__(self) -> None:
        self._here: tuple[_Gateway, ...] = ()
        self.left: tuple[tuple[str, int], ...] = ()
        """Players, and when their last connection closed, in ms since the epoch."""

    def update(
        self,
        link: Sink,
        users: Sequence[str],
        watchers: int,
        now: int,
        players: Sequence[str | None],
    ) -> bool:
        """Take one gateway's whole truth; return whether anything changed for the game."""
        before = self.users(), self.watchers()
        here = [gateway for gateway in self._here if gateway.link is not link]
        if watchers:
            # A player's id is there already, as the game's own string.
            known = {player: player for player in players if player is not None}
            here.append(_Gateway(link, tuple(known.get(user, user) for user in users), watchers))
        self._here = tuple(here)
        after = self.users()
        gone = before[0] - after
        left = [each for each in self.left if each[0] not in after and each[0] not in gone]
        left += [(player, now) for player in players if player in gone]
        self.left = tuple(left)
        return before != (after, self.watchers())

    def users(self) -> frozenset[str]:
        """Return who has a connection anywhere."""
        return frozenset(user for gateway in self._here for user in gateway.users)

    def watchers(self) -> int:
        """Return how many sockets watch the game."""
        return sum(gateway.watchers for gateway in self._here)

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
