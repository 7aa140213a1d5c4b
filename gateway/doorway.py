"""Where WebSockets come in: who is it, what do they want; then the socket leaves ASGI.

A handshake that gets here is always accepted and a refusal said by a close code, because pages in
a browser never see the status of a refused handshake.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from msgspec import Struct

from gateway.admission import caller
from gateway.callers import Callers, address
from gateway.http import MOST_SEQ, Receive, Scope, Send
from gateway.identity import User
from gateway.ids import valid_id
from gateway.problems import Problem
from gateway.session import Hall, Session
from gateway.socket import (
    EXTENSION,
    NO_SUCH_GAME,
    POLICY,
    TOO_MANY,
    TRY_LATER,
    UNAUTHENTICATED,
    GameSocket,
    Surroundings,
)

_PROTOCOL = "bearer"


class _Refused(Exception):  # noqa: N818  (control flow of a handshake)
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class _Wish(Struct):
    """What a handshake asks for: one game or many, from which seq, and by which resume token."""

    game: str | None
    after: int | None
    resume: str | None


class Doorway:
    """The ASGI application of all WebSockets."""

    def __init__(self, hall: Hall, callers: Callers, around: Surroundings) -> None:
        """Let callers into `hall`."""
        self._hall = hall
        self._callers = callers
        self._around = around

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Do one handshake."""
        await receive()
        bearer = _PROTOCOL in scope["subprotocols"]  # then the token is read from there, too
        accept: dict[str, Any] = {
            "type": "websocket.accept",
            "subprotocol": _PROTOCOL if bearer else None,
        }
        try:
            user = await self._user(scope)
            name, expires = (user.id, user.expires) if user else (None, 0.0)
            if self._around.admission.enter(name, address(scope)):
                raise _Refused(TOO_MANY, "too many handshakes")
            wish = _wish(scope)
        except _Refused as no:
            await send(accept)
            self._around.counts.closes[no.reason] += 1
            await send({"type": "websocket.close", "code": no.code, "reason": no.reason})
            return
        await send(accept)
        socket: GameSocket = scope["extensions"][EXTENSION]
        session = Session(self._hall, socket, name, expires, wish.game)
        socket.attach(session, self._around, caller(name, address(scope)))
        if wish.game is None:
            return
        if wish.resume and not session.resume(wish.game, wish.resume):
            socket.close(UNAUTHENTICATED, "the resume token isn't good")
        else:
            session.follow(wish.game, wish.after)

    async def _user(self, scope: Scope) -> User | None:
        protocols: list[str] = scope["subprotocols"]
        try:
            if _PROTOCOL in protocols:
                shown = protocols[protocols.index(_PROTOCOL) + 1 :]
                return await self._callers.by_token(shown[0] if shown else "")
            return await self._callers.by_header(scope["headers"])
        except Problem as problem:
            if problem.code == "unavailable":
                raise _Refused(TRY_LATER, problem.code) from problem
            self._around.admission.enter(None, address(scope))
            raise _Refused(UNAUTHENTICATED, problem.code) from problem


def _wish(scope: Scope) -> _Wish:
    parts = scope["path"].split("/")
    if parts == ["", "ws"]:
        return _Wish(None, None, None)
    if len(parts) != 4 or parts[:3] != ["", "ws", "games"]:
        raise _Refused(NO_SUCH_GAME, "nothing here")
    if not valid_id(parts[3]):
        raise _Refused(NO_SUCH_GAME, "no_such_game")
    try:
        query = dict(parse_qsl(scope["query_string"].decode("ascii"), max_num_fields=32))
        after = int(query["after"]) if "after" in query else None
    except ValueError as error:
        raise _Refused(POLICY, "invalid_request") from error
    if after is not None and not 0 <= after <= MOST_SEQ:
        raise _Refused(POLICY, "invalid_request")
    return _Wish(parts[3], after, query.get("resume"))
