"""The conversation on one WebSocket: what its frames mean, and what's answered.

Nothing here waits: a command goes to the router and its answer comes by a call.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Struct

from actors.behaviour import instant
from gateway.allowance import (
    ACCEPTED,
    COMMAND,
    IDLE_TALK,
    MISTAKEN,
    REFUSED,
    REPEATED,
    SUBSCRIBED_AGAIN,
    UNANSWERED,
    subscribed,
)
from gateway.catalog import BUILT_IN, Catalog
from gateway.frames import (
    Accepted,
    Envelope,
    Plain,
    Pong,
    Rejection,
    Unsubscribed,
    out,
    peek,
    read_plain,
    read_resuming,
    read_subscribe,
    text_frame,
)
from gateway.http import MOST_SEQ
from gateway.ids import valid_id
from gateway.metrics import Counts
from gateway.openings import Openings
from gateway.problems import BAD_JSON, Problem
from gateway.resume import ResumeTokens
from gateway.settings import GatewaySettings
from gateway.socket import INTERNAL, NO_SUCH_GAME, TRY_LATER, UNAUTHENTICATED, GameSocket
from gateway.topics import UNKNOWN, Opening, Subscriber, Thought, Topics
from gateway.turns import Turns
from runtime.asks import Answer, Ask, Away, Done, Missed, Packed, Refused
from runtime.router import Router

_MISTAKES = ("invalid_request", "unknown_command", "no_such_game")
_OURS = ("overloaded", "game_failed")
"""Refusals that aren't the client's fault."""
_LONGEST_KEY = 128
_AWAY = "The game's owner doesn't answer just now. The same frame may be sent again."


class Hall(Struct, frozen=True):
    """What all sessions of a gateway share."""

    router: Router
    topics: Topics
    openings: Openings
    catalog: Catalog
    resume: ResumeTokens
    settings: GatewaySettings
    counts: Counts
    sessions: set[Session]
    turns: Turns
    """In which subscriptions begin."""


class Session:
    """One socket's conversation. With `pinned` it's about that one game only."""

    def __init__(
        self, hall: Hall, socket: GameSocket, user: str | None, expires: float, pinned: str | None
    ) -> None:
        """Talk with `user` (None: somebody unknown), whose token is good until `expires`."""
        self._hall = hall
        self.socket = socket
        self._user = user
        self._expires = expires
        self._pinned = pinned
        self._resumed: dict[str, tuple[str, int]] = {}
        """Game -> the user whose resume token was shown, and when a bearer token is needed."""
        self._following: dict[str, Subscriber] = {}
        self._pending = 0
        self._most = hall.settings.pending_commands
        hall.sessions.add(self)

    @property
    def busy(self) -> bool:
        """Whether enough commands are under way."""
        return self._pending >= self._most

    # --- frames of the client ----------------------------------------------------------------

    def on_text(self, payload: bytes) -> None:
        """Take a frame."""
        try:
            frame = peek(payload)
        except BAD_JSON as error:
            self._mistake(None, None, "invalid_request", str(error))
            return
        game = frame.game or self._pinned
        if frame.type == "ping":
            self._parse(read_plain, payload, frame, self._pong)
        elif game is None:
            self._mistake(frame.id, None, "invalid_request", "The frame must name its game.")
        elif self._pinned is not None and game != self._pinned:
            detail = "This socket is about another game; /ws takes many."
            self._mistake(frame.id, game, "invalid_request", detail)
        elif not valid_id(game):
            self._mistake(frame.id, game, "no_such_game", "There is no such game.")
        elif frame.type in self._hall.catalog.frames:
            self._command(frame, game, payload)
        elif frame.type in BUILT_IN:
            self._built_in(frame, game, payload)
        else:
            detail = f"There is no frame of the type {frame.type!r} to send."
            self._mistake(frame.id, game, "unknown_command", detail)

    def _parse(
        self, read: Callable[[bytes], Any], payload: bytes, frame: Envelope, then: Any
    ) -> None:
        try:
            parsed = read(payload)
        except BAD_JSON as error:
            self._mistake(frame.id, frame.game, "invalid_request", str(error))
        else:
            then(parsed)

    def _built_in(self, frame: Envelope, game: str, payload: bytes) -> None:
        match frame.type:
            case "resume":
                self._parse(read_resuming, payload, frame, partial(self._resume_frame, game))
            case "subscribe" if self._pinned is None:
                self._parse(read_subscribe, payload, frame, partial(self._subscribe, game))
            case "unsubscribe" if self._pinned is None:
                self._parse(read_plain, payload, frame, partial(self._unsubscribe, game))
            case _:
                detail = "This socket follows its one game all the time."
                self._mistake(frame.id, game, "invalid_request", detail)

    def _pong(self, frame: Plain) -> None:
        self.socket.charge(IDLE_TALK)
        self.socket.hold(out(Pong(instant(int(time.time() * 1000)), frame.id)))

    def _mistake(self, key: str | None, game: str | None, code: str, detail: str) -> None:
        """Refuse a frame that no sound client sends."""
        self.socket.charge(MISTAKEN)
        self._reject(key, game, code, detail)

    def _reject(self, key: str | None, game: str | None, code: str, detail: str) -> None:
        self._hall.counts.rejections[code] += 1
        self.socket.hold(out(Rejection(key, game, code, detail)))

    # --- who speaks --------------------------------------------------------------------------

    def user(self, game: str) -> str | None:
        """Return as whom this session speaks in a game."""
        if self._user is None and self._resumed:
            resumed = self._stand_in(game)
            return resumed[0] if resumed else None
        return self._user

    def _stand_in(self, game: str) -> tuple[str, int] | None:
        resumed = self._resumed.get(game)
        return resumed if resumed and time.time() < resumed[1] else None

    def resume(self, game: str, token: str) -> bool:
        """Take a resume token; return False if it's not good for the game."""
        found = self._hall.resume.read(token, game)
        if found is None:
            return False
        if self._user is None:
            self._resumed[game] = found
        return True

    def _resume_frame(self, game: str, frame: Any) -> None:
        if not self.resume(game, frame.resume):
            self._mistake(frame.id, game, "unauthenticated", "The resume token isn't good.")
            return
        subscriber = self._following.get(game)
        if subscriber is not None:
            subscriber.user = self.user(game)
            self._hall.topics.changed(game)

    def _new_resume(self, game: str) -> str | None:
        """Return a resume token for the beginning of a subscription."""
        if self._user is not None:
            return self._hall.resume.issue(self._user, game)
        resumed = self._stand_in(game)
        return self._hall.resume.issue(resumed[0], game, resumed[1]) if resumed else None

    # --- commands ----------------------------------------------------------------------------

    def _command(self, frame: Envelope, game: str, payload: bytes) -> None:
        user, key = self.user(game), frame.id
        self.socket.charge(COMMAND)
        if user is None:
            self.socket.charge(REFUSED)
            self._reject(key, game, "unauthenticated", "Watching needs no token; playing does.")
            return
        if key is not None and not 0 < len(key) <= _LONGEST_KEY:
            detail = f"An id has 1 to {_LONGEST_KEY} characters."
            self._mistake(None, game, "invalid_request", detail)
            return
        self._pending += 1
        subscriber = self._following.get(game)
        thought = UNKNOWN
        if subscriber is not None:
            thought = self._hall.topics.thought(game, subscriber, payload)
        round_trip = self.socket.round_trip_ms
        ask = Ask(game, frame.type, payload, user, key, None, False, round_trip, thought.ms)
        answered = partial(self._answered, ask, self.socket.loop.time(), thought)
        self._hall.router.send(ask, self._hall.settings.answer_timeout, answered)

    def _answered(self, ask: Ask, since: float, thought: Thought, answer: Answer) -> None:
        game, key = ask.game, ask.key
        if self.busy:
            self.socket.loop.call_soon(self.socket.pump)
        self._pending -= 1
        self._hall.counts.commands.note(self.socket.loop.time() - since)
        if isinstance(answer, Done):
            again = answer.repeated and not answer.resent
            self.socket.charge(REPEATED if again else ACCEPTED)
            self._done(game, key, answer, again)
        elif isinstance(answer, Refused):
            if answer.code in _MISTAKES:
                self._mistake(key, game, answer.code, answer.detail)
            else:
                self.socket.charge(UNANSWERED if answer.code in _OURS else REFUSED)
                self._reject(key, game, answer.code, answer.detail)
        else:
            self.socket.charge(UNANSWERED)
            subscriber = self._following.get(game)
            if subscriber is not None:
                subscriber.keep(ask.body, thought)
            self._reject(key, game, "unavailable", _AWAY)

    def _done(self, game: str, key: str | None, answer: Done, again: bool) -> None:
        """Acknowledge; a follower gets the event itself in the same turn, from the topic."""
        frames = b""
        if key is not None or again:
            frames = out(Accepted(key, game, answer.seq))
        subscriber = self._following.get(game)
        if subscriber is None:
            frames += text_frame(answer.data)
        elif not subscriber.player:
            self._hall.topics.promote(game, subscriber)
        if frames:
            self.socket.hold(frames)

    # --- following ---------------------------------------------------------------------------

    def _subscribe(self, game: str, frame: Any) -> None:
        if frame.resume is not None and not self.resume(game, frame.resume):
            self._mistake(frame.id, game, "unauthenticated", "The resume token isn't good.")
        elif frame.after is not None and not 0 <= frame.after <= MOST_SEQ:
            self._mistake(frame.id, game, "invalid_request", "`after` is out of range.")
        elif game in self._following:
            self.socket.charge(SUBSCRIBED_AGAIN)
            self.follow(game, frame.after, frame.id)
        elif len(self._following) >= (most := self._hall.settings.subscriptions):
            detail = f"One socket may follow {most} games."
            self._mistake(frame.id, game, "too_many_subscriptions", detail)
        else:
            self.socket.charge(subscribed(most))
            self.follow(game, frame.after, frame.id)

    def follow(self, game: str, after: int | None, key: str | None = None) -> None:
        """Begin (again) to follow a game; the beginning is sent when it's there."""
        old = self._following.pop(game, None)
        if old is not None:
            self._hall.topics.leave(game, old)
        subscriber = Subscriber(self.socket, self.user(game))
        self._following[game] = subscriber
        opened = partial(self._opened, game, subscriber, key)
        self._hall.topics.join(game, after, subscriber, opened)

    def _opened(self, game: str, subscriber: Subscriber, key: str | None, opening: Opening) -> None:
        if isinstance(opening, Refused | Away):
            self._leave(game)
            self._not_opened(game, key, opening)
        else:
            self._hall.turns.add(partial(self._begin, game, subscriber, key, opening))

    def _begin(
        self, game: str, subscriber: Subscriber, key: str | None, opening: Packed | Missed
    ) -> None:
        if subscriber.left or self.socket.disconnected:
            return
        resume = self._new_resume(game)
        try:
            self._hall.openings.send(game, opening, subscriber, self.socket, resume)
        except Problem as problem:
            self._leave(game)
            if self._pinned is not None:
                self.socket.close(INTERNAL, problem.code)
            else:
                self._reject(key, game, problem.code, problem.detail)

    def _not_opened(self, game: str, key: str | None, opening: Refused | Away) -> None:
        if isinstance(opening, Refused):
            if self._pinned is not None:
                self.socket.close(NO_SUCH_GAME, opening.code)
            else:
                self._mistake(key, game, opening.code, opening.detail)
        elif self._pinned is not None:
            self.socket.close(TRY_LATER, "unavailable")
        else:
            self._reject(key, game, "unavailable", _AWAY)

    def _unsubscribe(self, game: str, frame: Plain) -> None:
        if game not in self._following:
            self.socket.charge(SUBSCRIBED_AGAIN)
        self._leave(game)
        self.socket.hold(out(Unsubscribed(game, frame.id)))

    def _leave(self, game: str) -> None:
        subscriber = self._following.pop(game, None)
        if subscriber is not None:
            self._hall.topics.leave(game, subscriber)

    # --- the end -----------------------------------------------------------------------------

    def on_beat(self) -> None:
        """Close when the token has expired, or speak no more as whom a resume token stood for."""
        now = time.time()
        if self._user is not None and now > self._expires:
            self.socket.close(UNAUTHENTICATED, "the token has expired")
        over = [game for game, (_, until) in self._resumed.items() if now >= until]
        if over and self._pinned is not None:
            self.socket.close(UNAUTHENTICATED, "the session has expired")
        for game in over:
            del self._resumed[game]
            subscriber = self._following.get(game)
            if subscriber is not None:
                subscriber.user = None
                self._hall.topics.changed(game)

    def on_lost(self) -> None:
        """Leave all games."""
        self._hall.sessions.discard(self)
        for game in list(self._following):
            self._leave(game)
