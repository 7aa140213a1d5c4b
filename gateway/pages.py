"""Everything that isn't hot: tokens, archives, health, metrics, documents, the page. Starlette."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.responses import Response as Answer
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from actors.behaviour import instant, millis
from gateway.callers import Callers, address
from gateway.http import Gone, read_body
from gateway.identity import expiry
from gateway.ids import valid_id
from gateway.metrics import Counts, exposition
from gateway.policy import guarded, policy
from gateway.problems import BAD_JSON, Problem, Problems
from persistence.log import LogError
from persistence.snapshots import Played
from runtime.router import Router

_log = logging.getLogger(__name__)
_HERE = Path(__file__).parent
_WEB = _HERE / "web"
_MOST_PLAYED = 200
_FRESH_S = 1.0
_DESCRIBE_S = 2.0
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Archive(Protocol):
    """Who played what. May raise `persistence.log.Unavailable`."""

    async def played(self, user: str, before: tuple[int, str], limit: int) -> Any:
        """Return the user's ended games before a place in the order of (end, id), last first."""
        ...


class NewToken(Struct, forbid_unknown_fields=True):
    """The body of POST /tokens."""

    name: str = "Guest"


class Pages:
    """The handlers."""

    def __init__(
        self,
        router: Router,
        callers: Callers,
        archive: Archive,
        problems: Problems,
        counts: Counts,
        rest: PageSettings,
    ) -> None:
        """Prepare; `rest` is what stays the same for ever."""
        self._router = router
        self._callers = callers
        self._archive = archive
        self._problems = problems
        self._counts = counts
        self._rest = rest
        self._index_headers = guarded(policy(""))
        self._docs_headers = guarded(policy((_HERE / "docs.html").read_text("utf-8")))
        self._description: Mapping[str, Any] | None = None
        self._described_at = -_FRESH_S
        self.stopping = False

    def app(self) -> Starlette:
        """Return the application."""
        routes = [
            Route("/", self._index),
            Route("/tokens", self._token, methods=["POST"]),
            Route("/users/{id}/games", self._played),
            Route("/healthz", self._health),
            Route("/readyz", self._ready),
            Route("/metrics", self._metrics),
            Route("/shards", self._shards),
            Route("/operations", self._rest.operate, methods=["POST"]),
            Route("/openapi.json", self._document(self._rest.openapi)),
            Route("/asyncapi.json", self._document(self._rest.asyncapi)),
            Route("/docs", self._docs),
            Route("/problems/{code}", self._problem),
            Mount("/web", StaticFiles(directory=_WEB, check_dir=False)),
        ]
        return Starlette(
            routes=routes,
            exception_handlers={
                Problem: self._on_problem,
                Gone: _on_gone,
                HTTPException: self._on_http,
                LogError: self._on_store,
                Exception: self._on_error,
            },
        )

    # --- errors ------------------------------------------------------------------------------

    async def _on_problem(self, request: Request, error: Exception) -> Answer:
        assert isinstance(error, Problem)
        status, headers, body = self._problems.response(error, request.url.path)
        self._counts.responses["pages", status] += 1
        texts = {name.decode(): value.decode() for name, value in headers}
        return Answer(body, status, texts)

    async def _on_http(self, request: Request, error: Exception) -> Answer:
        assert isinstance(error, HTTPException)
        allow = [(b"allow", v.encode()) for k, v in (error.headers or {}).items() if k == "Allow"]
        known = {
            405: Problem("method_not_allowed", "Not by this method.", allow),
            400: Problem("invalid_request", error.detail),
        }
        missing = Problem("not_found", "There is nothing at this path.")
        return await self._on_problem(request, known.get(error.status_code, missing))

    async def _on_store(self, request: Request, error: Exception) -> Answer:
        _log.warning("the store doesn't answer: %s", error)
        problem = Problem("unavailable", "The store is away.", [(b"retry-after", b"2")])
        return await self._on_problem(request, problem)

    async def _on_error(self, request: Request, error: Exception) -> Answer:
        # Starlette logs it as well, by raising it again.
        return await self._on_problem(request, Problem("internal", type(error).__name__))

    def _json(self, body: Any, status: int = 200) -> Answer:
        self._counts.responses["pages", status] += 1
        return Answer(msgspec.json.encode(body), status, media_type="application/json")

    # --- people ------------------------------------------------------------------------------

    async def _token(self, request: Request) -> Answer:
        if not self._callers.identity.guests:
            raise Problem("guests_off", "Tokens come from somewhere else here.")
        self._callers.charge(self._callers.tokens, address(request.scope))
        data = await read_body(request.scope, request.receive, 4096)
        try:
            asked = msgspec.json.decode(data or b"{}", type=NewToken)
            token, user = self._callers.identity.issue(asked.name)
        except (*BAD_JSON, ValueError) as error:
            raise Problem("invalid_request", str(error)) from error
        assert user.name is not None
        self._callers.names.remember(user.id, user.name)
        return self._json(
            {
                "token": token,
                "user": {"id": user.id, "name": user.name},
                "expires_at": expiry(user),
            },
            201,
        )

    async def _played(self, request: Request) -> Answer:
        await self._callers.reader(request.scope)
        user = request.path_params["id"]
        before = _place(request.query_params.get("before"))
        limit = _limit(request.query_params.get("limit"))
        if unknown := set(request.query_params) - {"before", "limit"}:
            raise Problem("invalid_request", f"Unknown query parameters: {sorted(unknown)}.")
        played: list[Played] = []
        if valid_id(user) or user.isprintable():
            played = list(await self._archive.played(user, before, limit))
        last = played[-1] if len(played) == limit else None
        games = [
            {"id": p.game, "kind": p.kind, "ended_at": instant(p.ended_at), "moves": p.moves}
            for p in played
        ]
        following = f"{last.ended_at}.{last.game}" if last else None
        return self._json({"games": games, "next": following})

    # --- operators ---------------------------------------------------------------------------

    async def _health(self, _: Request) -> Answer:
        return self._json({"status": "ok"})

    async def _ready(self, _: Request) -> Answer:
        if self.stopping or not self._rest.ready():
            raise Problem("unavailable", "Not ready to serve games.", [(b"retry-after", b"1")])
        return self._json({"status": "ready"})

    async def _metrics(self, _: Request) -> Answer:
        text = exposition(self._counts, self._rest.name, await self._described())
        return Answer(text, media_type=_PROMETHEUS)

    async def _described(self) -> Mapping[str, Any] | None:
        """Return the body of GET /shards, a second old at most; None if nobody answers in time."""
        if time.monotonic() - self._described_at > _FRESH_S:
            self._description = None
            try:
                async with asyncio.timeout(_DESCRIBE_S):
                    self._description = await self._router.status()
            except Exception as error:  # noqa: BLE001  (whatever a coordinator's absence raises)
                _log.warning("no figures of the shards: %s", error)
            self._described_at = time.monotonic()
        return self._description

    async def _shards(self, _: Request) -> Answer:
        try:
            return self._json(await self._router.status())
        except Exception as error:
            _log.warning("no answer about the shards: %s", error)
            detail = "The coordinator doesn't answer just now; games go on."
            raise Problem("unavailable", detail, [(b"retry-after", b"2")]) from error

    # --- documents ---------------------------------------------------------------------------

    def _document(self, document: bytes) -> Callable[[Request], Awaitable[Answer]]:
        async def answer(_: Request) -> Answer:
            return Answer(document, media_type="application/json")

        return answer

    async def _docs(self, _: Request) -> Answer:
        return FileResponse(_HERE / "docs.html", headers=self._docs_headers)

    async def _problem(self, request: Request) -> Answer:
        code = request.path_params["code"]
        if code not in self._problems.table:
            raise Problem("not_found", "There is no problem of this name.")
        return self._json(self._problems.body(code, "", request.url.path))

    async def _index(self, _: Request) -> Answer:
        page = _WEB / "index.html"
        if not page.exists():
            raise Problem("not_found", "The page isn't installed; /docs tells about the API.")
        return FileResponse(page, headers=self._index_headers)


class PageSettings(Struct, frozen=True):
    """What the pages show that never changes: our name, the documents, how readiness is found.

    `operate` answers operators' requests.
    """

    name: str
    operate: Callable[[Request], Awaitable[Answer]]
    openapi: bytes
    asyncapi: bytes
    ready: Callable[[], bool]


async def _on_gone(_: Request, __: Exception) -> Answer:
    return Answer(status_code=400)  # nobody will read it


def _place(text: str | None) -> tuple[int, str]:
    """Return a place in a list of games: where a page ended, or a time (RFC 3339, or ms); or now.

    Where a page ended is "MS.ID": several games may have ended in one millisecond.
    """
    if text is None:
        return int(time.time() * 1000) + 1, ""
    ms, _, game = text.partition(".")
    try:
        if ms.isascii() and ms.isdigit() and len(ms) < 16 and (not game or valid_id(game)):
            return int(ms), game
        at = msgspec.convert(text.replace(" ", "+"), datetime, strict=False)
        return millis(at if at.tzinfo else at.replace(tzinfo=UTC)), ""
    except (msgspec.ValidationError, OverflowError) as error:
        detail = "`before` is a time (RFC 3339, or ms), or `next` of the page before."
        raise Problem("invalid_request", detail) from error


def _limit(text: str | None) -> int:
    if text is None:
        return 50
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 0 < int(text) <= _MOST_PLAYED):
        raise Problem("invalid_request", f"`limit` is 1 to {_MOST_PLAYED}.")
    return int(text)
