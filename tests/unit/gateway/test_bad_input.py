"""Every wrong request gets a clear answer in problem+json."""

import asyncio
import time

import httpx
import jsonschema
import jwt
import pytest
from gateway_of_tests import running

from gateway.identity import derive
from gateway.schemas import PROBLEM

LARGE = b'{"uci":"' + b"x" * 70_000 + b'"}'
DEEP = b"[" * 60_000
GAME = "/games/{game}"
MOVES = "/games/{game}/moves"

CASES = [
    ("POST", "/games", b"{", {}, 400, "invalid_request"),
    ("POST", "/games", b"[]", {}, 400, "invalid_request"),
    ("POST", "/games", b'"\xff"', {}, 400, "invalid_request"),
    ("POST", "/games", b'{"kind":7}', {}, 400, "invalid_request"),
    ("POST", "/games", b'{"kind":"ludo"}', {}, 400, "invalid_request"),
    ("POST", "/games", b'{"colour":"white"}', {}, 400, "invalid_request"),
    ("POST", "/games", b'{"color":"green"}', {}, 400, "invalid_request"),
    ("POST", "/games", b'{"fen":"nonsense"}', {}, 422, "bad_position"),
    ("POST", "/games", LARGE, {}, 413, "too_large"),
    ("POST", "/games", b"{}", {"authorization": ""}, 401, "unauthenticated"),
    ("POST", "/games", b"{}", {"authorization": "Bearer nonsense"}, 401, "unauthenticated"),
    ("POST", "/games", b"{}", {"authorization": "Basic YTpi"}, 401, "unauthenticated"),
    ("POST", "/games", b"{}", {"idempotency-key": "x" * 129}, 400, "invalid_request"),
    ("POST", "/games", b"{}", {"idempotency-key": "\xe9"}, 400, "invalid_request"),
    ("GET", "/games", b"", {}, 405, "method_not_allowed"),
    ("POST", "/games/", b"{}", {}, 405, "method_not_allowed"),
    ("DELETE", GAME, b"", {}, 405, "method_not_allowed"),
    ("GET", MOVES, b"", {}, 405, "method_not_allowed"),
    ("PUT", "/games/{game}/events", b"", {}, 405, "method_not_allowed"),
    ("GET", "/games/nosuchgame", b"", {}, 404, "no_such_game"),
    ("GET", "/games/no%20such", b"", {}, 404, "no_such_game"),
    ("GET", "/games/" + "x" * 65, b"", {}, 404, "no_such_game"),
    ("GET", "/games/nosuchgame.pgn", b"", {}, 404, "no_such_game"),
    ("GET", "/games/nosuchgame/events", b"", {}, 404, "no_such_game"),
    ("POST", "/games/nosuchgame/moves", b'{"uci":"e2e4"}', {}, 404, "no_such_game"),
    ("POST", "/games/nosuchgame/validate", b'{"uci":"e2e4"}', {}, 404, "no_such_game"),
    ("GET", "/games/{game}.gif", b"", {}, 404, "not_found"),
    ("GET", "/games/{game}/moves/1", b"", {}, 404, "not_found"),
    ("POST", "/games/{game}/dance", b"{}", {}, 404, "not_found"),
    ("POST", "/games/{game}/create", b"{}", {}, 404, "not_found"),
    ("GET", "/nothing", b"", {}, 404, "not_found"),
    ("GET", "/web/../settings.py", b"", {}, 404, "not_found"),
    ("GET", GAME + "?san=maybe", b"", {}, 400, "invalid_request"),
    ("GET", GAME + "?sans=1", b"", {}, 400, "invalid_request"),
    ("GET", GAME + "?san=1&san=0", b"", {}, 400, "invalid_request"),
    ("GET", GAME + "?san=%ff", b"", {}, 400, "invalid_request"),
    ("GET", GAME, b"", {"authorization": "Bearer nonsense"}, 401, "unauthenticated"),
    ("GET", "/games/{game}/events?after=-1", b"", {}, 400, "invalid_request"),
    ("GET", "/games/{game}/events?after=x", b"", {}, 400, "invalid_request"),
    ("GET", "/games/{game}/events?after=99999999999999999999", b"", {}, 400, "invalid_request"),
    ("GET", "/games/{game}/events?wait=-1", b"", {}, 400, "invalid_request"),
    ("GET", "/games/{game}/events?wait=nan", b"", {}, 400, "invalid_request"),
    ("POST", MOVES, b"", {}, 400, "invalid_request"),
    ("POST", MOVES, b"nonsense", {}, 400, "invalid_request"),
    ("POST", MOVES, b'{"uci":7}', {}, 400, "invalid_request"),
    ("POST", MOVES, b'{"uci":"e2e4","speed":1}', {}, 400, "invalid_request"),
    ("POST", MOVES, b'{"type":"resign","uci":"e2e4"}', {}, 400, "invalid_request"),
    ("POST", MOVES, b'{"uci":"e2e4","game":"other"}', {}, 400, "invalid_request"),
    ("POST", MOVES, b'{"uci":"e2e4","id":"zzz"}', {}, 400, "invalid_request"),
    ("POST", MOVES, b'{"uci":"e2e4","id":"a"}', {"idempotency-key": "b"}, 400, "invalid_request"),
    ("POST", "/games", b'{"game":"other"}', {}, 400, "invalid_request"),
    ("POST", "/games", DEEP, {}, 400, "invalid_request"),
    ("POST", "/games", b'{"kind":"nim","x":' + DEEP, {}, 400, "invalid_request"),
    ("POST", MOVES, b'{"x":' + DEEP, {}, 400, "invalid_request"),
    ("POST", MOVES, b'{"uci":' + DEEP, {}, 400, "invalid_request"),
    ("POST", "/games/{game}/validate", DEEP, {}, 400, "invalid_request"),
    ("POST", "/tokens", DEEP[:4000], {}, 400, "invalid_request"),
    ("POST", MOVES, b'{"uci":"e2e5"}', {}, 422, "illegal_move"),
    ("POST", MOVES, b'{"uci":"e2e4","ply":-1}', {}, 409, "stale_ply"),
    ("POST", MOVES, LARGE, {}, 413, "too_large"),
    ("POST", MOVES, b'{"uci":"e2e4"}', {"authorization": ""}, 401, "unauthenticated"),
    ("POST", MOVES, b'{"uci":"e2e4"}', {"authorization": "{bob}"}, 409, "not_your_turn"),
    ("POST", MOVES, b'{"uci":"e2e4"}', {"authorization": "{eve}"}, 403, "not_a_player"),
    ("POST", "/games/{game}/join", b"", {"authorization": "{eve}"}, 409, None),
    ("POST", "/games/{game}/validate", b"{}", {}, 400, "invalid_request"),
    ("POST", "/games/{game}/validate", b'{"uci":1}', {}, 400, "invalid_request"),
    ("POST", "/games/{game}/take", b'{"count":1}', {}, 404, "unknown_command"),
    ("POST", "/tokens", b"{", {}, 400, "invalid_request"),
    ("POST", "/tokens", b'{"name":1}', {}, 400, "invalid_request"),
    ("POST", "/tokens", b'{"name":"  "}', {}, 400, "invalid_request"),
    ("POST", "/tokens", b'{"name":"' + b"x" * 33 + b'"}', {}, 400, "invalid_request"),
    ("POST", "/tokens", b'{"nick":"ann"}', {}, 400, "invalid_request"),
    ("POST", "/tokens", b'{"name":"' + b"x" * 5000 + b'"}', {}, 413, "too_large"),
    ("GET", "/tokens", b"", {}, 405, "method_not_allowed"),
    ("GET", "/users/ann/games?before=soon", b"", {}, 400, "invalid_request"),
    ("GET", "/users/ann/games?before=7.a%20b", b"", {}, 400, "invalid_request"),
    ("GET", "/users/ann/games?limit=0", b"", {}, 400, "invalid_request"),
    ("GET", "/users/ann/games?limit=201", b"", {}, 400, "invalid_request"),
    ("GET", "/users/ann/games?page=1", b"", {}, 400, "invalid_request"),
    ("GET", "/problems/nonsense", b"", {}, 404, "not_found"),
]


@pytest.fixture
async def gateway():
    async with running() as running_gateway:
        yield running_gateway


async def test_every_bad_request_has_a_clear_answer(gateway):
    """Each row of the table is answered with its status, its code, and a whole problem."""
    people = {name: await gateway.player(name) for name in ("ann", "bob", "eve")}
    tokens = {name: headers["authorization"] for name, headers in people.items()}
    game = await gateway.game(people["ann"], people["bob"])
    for method, path, body, headers, status, code in CASES:
        sent = {"authorization": tokens["ann"]} | {
            k: v.format(**tokens).encode("latin-1") for k, v in headers.items()
        }
        if not sent["authorization"]:
            del sent["authorization"]
        url = path.replace("{game}", game)
        answer = await gateway.http.request(method, url, content=body, headers=sent)
        case = (method, path, body[:60], headers, answer.text)
        assert answer.headers["content-type"] == "application/problem+json", case
        problem = answer.json()
        jsonschema.validate(problem, PROBLEM)
        assert (answer.status_code, problem["status"]) == (status, status), case
        assert code in (None, problem["code"]), case
        assert ("allow" in answer.headers) == (status == 405), case
        assert ("www-authenticate" in answer.headers) == (status == 401), case
    assert len(gateway.router.games[game].log) == 2  # nothing of all that has done anything


async def test_a_body_without_a_length_is_bounded_as_well(gateway):
    """A chunked body is cut off at the limit."""
    ann = await gateway.player("ann")

    async def endless():
        for _ in range(100):
            yield b"x" * 2000

    answer = await gateway.http.post("/games", content=endless(), headers=ann)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_an_expired_or_foreign_token_is_401(gateway):
    """Tokens of another secret, and those that have expired, prove nothing."""

    key = derive(b"a secret of the tests", b"guest tokens")
    claims = {"iss": "gameshard", "sub": "u", "name": "n", "exp": time.time() + 60}
    for secret, changes in (
        (b"x" * 32, {}),
        (key, {"exp": time.time() - 1}),
        (key, {"iss": "somebody"}),
        (key, {"sub": "a\nb"}),
        (key, {"sub": ""}),
    ):
        token = jwt.encode(claims | changes, secret, "HS256")
        answer = await gateway.http.post("/games", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 401, changes
    good = jwt.encode(claims, key, "HS256")
    answer = await gateway.http.post("/games", headers={"authorization": f"Bearer {good}"})
    assert answer.status_code == 201


async def test_a_store_that_is_away_is_503(gateway):
    """The archive's absence is told as such, and the connection serves on."""
    gateway.archive.away = True
    answer = await gateway.http.get("/users/ann/games")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    gateway.archive.away = False
    assert (await gateway.http.get("/users/ann/games")).status_code == 200


async def test_a_failure_of_our_own_is_told_without_its_inside(gateway):
    """An exception nobody expected is 500 internal, and says nothing of itself."""

    async def broken(game, timeout):
        raise RuntimeError("the inside")

    gateway.router.state = broken
    answer = await gateway.http.get("/games/abc")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "inside" not in answer.text


async def test_http_nonsense_ends_the_connection_only(gateway):
    """Bytes that aren't HTTP get 400, and others are served."""

    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"\x16\x03\x01nonsense\r\n\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()
    assert (await gateway.http.get("/healthz")).status_code == 200
    assert isinstance(gateway.http, httpx.AsyncClient)
