"""The routes under /games, as plain ASGI: they are the hot ones.

Starlette's routing, request and response objects would double what a creation costs here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from gateway.callers import Callers, address
from gateway.catalog import Catalog, Kind
from gateway.http import (
    JSON,
    MOST_SEQ,
    Gone,
    Receive,
    Scope,
    Send,
    check_envelope,
    idempotency_key,
    matches,
    ok,
    parameters,
    read_body,
    reply,
)
from gateway.ids import keyed_id, random_ids, valid_id
from gateway.metrics import Counts
from gateway.polls import Polls
from gateway.problems import BAD_JSON, Problem, Problems, Response, refusal
from gateway.settings import GatewaySettings
from gateway.views import Views
from gateway.workroom import Workroom
from runtime.asks import Ask, Done, Missed, Packed
from runtime.router import Router

_log = logging.getLogger(__name__)
T = TypeVar("T", bound=Struct)


class EventsQuery(Struct, forbid_unknown_fields=True):
    """Query parameters of GET /games/{id}/events: events after a seq; wait so many seconds."""

    after: int = 0
    wait: float = 0.0


class _NoQuery(Struct, forbid_unknown_fields=True):
    """There are no query parameters."""


class Games:
    """Answers everything under /games."""

    def __init__(
        self,
        router: Router,
        catalog: Catalog,
        views: Views,
        callers: Callers,
        settings: GatewaySettings,
        counts: Counts,
    ) -> None:
        """Ask `router`."""
        self._router = router
        self._catalog = catalog
        self._views = views
        self._callers = callers
        self._settings = settings
        self._counts = counts
        self._timeout = settings.answer_timeout
        self._problems = Problems(catalog.statuses)
        self._new_id = random_ids()
        self._workroom = Workroom()
        self._polls = Polls(router, settings, counts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        what = "games"
        try:
            what, work = self._route(scope, receive)
            response = await work
        except Gone:
            return
        except Problem as problem:
            response = self._problems.response(problem, scope["path"])
        except Exception:  # noqa: BLE001  (whatever it is, the caller gets an answer)
            _log.exception("%s %s", scope["method"], scope["path"])
            response = self._problems.response(Problem("internal"), scope["path"])
        self._counts.responses[what, response[0]] += 1
        await reply(send, response)

    def _route(self, scope: Scope, receive: Receive) -> tuple[str, Any]:
        """Return the name of what is asked, and the work that answers it."""
        method, parts = scope["method"], scope["path"].split("/")
        count = len(parts)
        if count == 2:
            _allow(method, "POST")
            return "create", self._create(scope, receive)
        game = parts[2]
        if count == 3:
            game, _, ending = game.partition(".")
            if ending:
                if ending not in self._catalog.exports:
                    raise _nothing_here()
                _allow(method, "GET", "HEAD")
                return "export", self._export(scope, _known(game), ending)
            _allow(method, "GET", "HEAD")
            return "state", self._state(scope, _known(game))
        segment = parts[3]
        if count > 4:
            raise _nothing_here()
        if segment == "events":
            _allow(method, "GET", "HEAD")
            return "events", self._events(scope, receive, _known(game))
        command = self._catalog.actions.get(segment)
        if command is not None:
            _allow(method, "POST")
            return command, self._act(scope, receive, _known(game), command)
        if segment in self._catalog.queries:
            _allow(method, "POST")
            return segment, self._query(scope, receive, _known(game), segment)
        raise _nothing_here()

    # --- commands ----------------------------------------------------------------------------

    async def _create(self, scope: Scope, receive: Receive) -> Response:
        headers = scope["headers"]
        user = await self._callers.required(headers)
        self._callers.charge(self._callers.creations, user.id)
        body = await read_body(scope, receive, self._settings.body_bytes)
        key = idempotency_key(headers)
        check_envelope(body or b"{}", None, key)
        try:
            kind, body = self._catalog.creation(body)
        except BAD_JSON as error:
            raise Problem("invalid_request", str(error)) from error
        game = self._new_id() if key is None else keyed_id(user.id, key)
        ask = Ask(game, "create", body, user.id, key, kind, key is None)
        answer = await self._router.ask(ask, self._timeout)
        if not isinstance(answer, Done):
            raise refusal(answer)
        location = b"location", b"/games/" + game.encode()
        if answer.repeated or answer.seq != 1:
            return await self._whole(game, user.id, 201, location)
        known = self._views.kind(kind)
        state = known.behaviour.evolve(None, known.decode_event(answer.data))
        query = known.queries["state"][0]()
        shown = self._views.answer(known, state, query, user.id)
        view = await self._views.whole(known, game, 1, shown)
        return ok(201, view, (b"etag", b'"1"'), location)

    async def _act(self, scope: Scope, receive: Receive, game: str, command: str) -> Response:
        headers = scope["headers"]
        user = await self._callers.required(headers)
        self._callers.charge(self._callers.commands, user.id)
        body = await read_body(scope, receive, self._settings.body_bytes) or b"{}"
        key = idempotency_key(headers)
        check_envelope(body, game, key)
        ask = Ask(game, command, body, user.id, key)
        answer = await self._router.ask(ask, self._timeout)
        if not isinstance(answer, Done):
            raise refusal(answer)
        if command in self._catalog.answers_game:
            return await self._whole(game, user.id, 200)
        return ok(200, answer.data)

    async def _whole(self, game: str, viewer: str, status: int, *headers: Any) -> Response:
        """Return the game as it is now."""
        packed = await self._packed(game)
        kind, state = self._views.unpack(packed)
        query = kind.queries["state"][0]()
        shown = self._views.answer(kind, state, query, viewer)
        body = await self._views.whole(kind, game, packed.seq, shown)
        return ok(status, body, (b"etag", b'"%d"' % packed.seq), *headers)

    # --- questions ---------------------------------------------------------------------------

    async def _packed(self, game: str) -> Packed:
        answer = await self._router.state(game, self._timeout)
        if not isinstance(answer, Packed):
            raise refusal(answer)
        return answer

    async def _state(self, scope: Scope, game: str) -> Response:
        viewer = await self._callers.reader(scope)
        given = parameters(scope)
        packed = await self._packed(game)
        kind = self._views.kind(packed.kind)
        query = _convert(given, kind.queries["state"][0])
        tag = b'"%d"' % packed.seq
        if matches(scope["headers"], tag):
            return 304, [(b"etag", tag)], b""
        state = kind.behaviour.unpack(packed.state)
        show = partial(self._views.answer, kind, state, query, viewer)
        # The plain state is made for the hot path; whatever else is wished for may take long.
        who = viewer or address(scope)
        shown = await self._workroom.do(who, show) if given else show()
        body = await self._views.whole(kind, game, packed.seq, shown)
        return ok(200, body, (b"etag", tag))

    async def _query(self, scope: Scope, receive: Receive, game: str, name: str) -> Response:
        viewer = await self._callers.reader(scope)
        body = await read_body(scope, receive, self._settings.body_bytes)
        packed = await self._packed(game)
        kind, state = self._views.unpack(packed)
        if name not in kind.queries:
            raise Problem("unknown_command", f"A game of {kind.name} has no question {name!r}.")
        query = _decode_query(kind, name, body or b"{}")
        return ok(200, await self._views.named(self._views.answer(kind, state, query, viewer)))

    async def _export(self, scope: Scope, game: str, ending: str) -> Response:
        viewer = await self._callers.reader(scope)
        _convert(parameters(scope), _NoQuery)
        missed = await self._router.events(game, 0, 0.0, self._timeout)
        if not isinstance(missed, Missed):
            raise refusal(missed)
        kind = self._views.kind(missed.kind)
        media = kind.behaviour.exports.get(ending)
        if media is None:
            raise _nothing_here()
        names = await self._views.seated(await self._packed(game))
        render = partial(_render, kind, ending, missed.events, names)
        body = await self._workroom.do(viewer or address(scope), render)
        length = (b"content-length", b"%d" % len(body))
        return 200, [(b"content-type", f"{media}; charset=utf-8".encode()), length], body

    async def _events(self, scope: Scope, receive: Receive, game: str) -> Response:
        viewer = await self._callers.reader(scope)
        query = _convert(parameters(scope), EventsQuery)
        if not (0 <= query.after <= MOST_SEQ and query.wait >= 0):
            raise Problem("invalid_request", "`after` or `wait` is out of range.")
        wait = min(query.wait, self._settings.poll_seconds)
        who = viewer or address(scope)
        missed = await self._polls.events(receive, who, game, query.after, wait)
        if not isinstance(missed, Missed):
            raise refusal(missed)
        events = b",".join(missed.events)
        body = b'{"seq":%d,"events":[%b]}' % (missed.seq, events)
        return 200, [JSON, (b"content-length", b"%d" % len(body))], body

    def stop(self) -> None:
        """Answer all long polls now, and let none wait any more."""
        self._polls.stop()


def _allow(method: str, *allowed: str) -> None:
    if method not in allowed:
        names = ", ".join(allowed)
        raise Problem("method_not_allowed", f"Here: {names}.", [(b"allow", names.encode())])


def _known(game: str) -> str:
    if not valid_id(game):
        raise Problem("no_such_game", "There is no such game.")
    return game


def _nothing_here() -> Problem:
    return Problem("not_found", "There is nothing at this path.")


def _render(kind: Kind, ending: str, records: Sequence[bytes], names: Mapping[str, str]) -> bytes:
    """Return a game's history in another form. It may take a second."""
    events = [kind.decode_event(data) for data in records]
    return kind.behaviour.export(ending, events, names).encode()


def _convert(given: dict[str, str], to: type[T]) -> T:
    try:
        return msgspec.convert(given, to, strict=False)
    except msgspec.ValidationError as error:
        raise Problem("invalid_request", f"A query parameter isn't right: {error}") from error


def _decode_query(kind: Kind, name: str, body: bytes) -> Any:
    try:
        return kind.queries[name][1](body)
    except BAD_JSON as error:
        raise Problem("invalid_request", str(error)) from error
