"""The HTTP API over real sockets: what a well-behaved client sees."""

import asyncio
from unittest.mock import AsyncMock

import pytest
from gateway_of_tests import running

from gateway.ids import LENGTH
from persistence.snapshots import Played


async def test_a_game_is_created_joined_and_played():
    """Each answer has the status, headers and shape that the API promises."""
    async with running() as gateway:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        made = await gateway.http.post("/games", json={"color": "white"}, headers=ann)
        game = made.json()
        assert (made.status_code, made.headers["etag"]) == (201, '"1"')
        assert made.headers["location"] == f"/games/{game['id']}"
        assert len(game["id"]) == LENGTH
        assert (game["kind"], game["seq"], game["status"]) == ("chess", 1, "open")
        assert game["white"]["name"] == "Ann"
        assert game["black"] is None
        joined = (await gateway.http.post(f"/games/{game['id']}/join", headers=bob)).json()
        assert (joined["status"], joined["black"]["name"]) == ("started", "Bob")
        path = f"/games/{game['id']}/moves"
        moved = await gateway.http.post(path, json={"uci": "e2e4", "ply": 0}, headers=ann)
        assert (moved.status_code, moved.json()["type"]) == (200, "MovePlayed")
        read = await gateway.http.get(f"/games/{game['id']}")
        assert read.headers["etag"] == f'"{moved.json()["seq"]}"'
        assert read.json()["moves"] == ["e2e4"]


async def test_a_game_of_another_kind_needs_nothing_of_the_gateway():
    """A second game has its routes, rejections and views by being installed."""
    async with running() as gateway:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        made = await gateway.http.post("/games", json={"kind": "nim", "pile": 5}, headers=ann)
        path = f"/games/{made.json()['id']}"
        assert made.json()["kind"] == "nim"
        await gateway.http.post(f"{path}/join", headers=bob)
        took = await gateway.http.post(f"{path}/take", json={"count": 2}, headers=ann)
        assert took.json()["type"] == "Taken"
        wrong = await gateway.http.post(f"{path}/moves", json={"uci": "e2e4"}, headers=ann)
        assert (wrong.status_code, wrong.json()["code"]) == (404, "unknown_command")


async def test_a_create_under_a_key_meets_its_own_game():
    """The same user and key give the same game, another body under it 422, another user another game."""
    async with running() as gateway:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        key = {"idempotency-key": "k1"}
        first = await gateway.http.post("/games", json={"color": "white"}, headers=ann | key)
        again = await gateway.http.post("/games", json={"color": "white"}, headers=ann | key)
        assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
        other = await gateway.http.post("/games", json={"color": "black"}, headers=ann | key)
        assert (other.status_code, other.json()["code"]) == (422, "key_reused")
        his = await gateway.http.post("/games", json={"color": "white"}, headers=bob | key)
        assert his.json()["id"] != first.json()["id"]


async def test_an_entity_tag_saves_the_body():
    """If-None-Match of the present seq is 304, of an older one the whole game."""
    async with running() as gateway:
        ann = await gateway.player("Ann")
        game = await gateway.game(ann)
        for tag, status in (('"1"', 304), ('W/"1"', 304), ('"7", "1"', 304), ('"0"', 200)):
            read = await gateway.http.get(f"/games/{game}", headers={"if-none-match": tag})
            assert (read.status_code, read.headers["etag"]) == (status, '"1"')
            assert bool(read.content) == (status == 200)


async def test_events_are_the_logs_own_bytes_and_can_be_waited_for():
    """`after` cuts, `wait` lasts until the next event, and a stop ends it."""
    async with running() as gateway:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        game = await gateway.game(ann, bob)
        read = await gateway.http.get(f"/games/{game}/events?after=1")
        assert [e["seq"] for e in read.json()["events"]] == [2]
        assert gateway.router.games[game].log[1] in read.content
        poll = asyncio.create_task(
            gateway.http.get(f"/games/{game}/events?after=2&wait=30", timeout=30)
        )
        while not gateway.router.polls:
            await asyncio.sleep(0.002)
        await gateway.http.post(f"/games/{game}/moves", json={"uci": "e2e4"}, headers=ann)
        assert [e["type"] for e in (await poll).json()["events"]] == ["MovePlayed"]
        poll = asyncio.create_task(
            gateway.http.get(f"/games/{game}/events?after=3&wait=30", timeout=30)
        )
        while not gateway.router.polls:
            await asyncio.sleep(0.002)
        await gateway.app.stop()
        assert (await poll).json() == {"seq": 3, "events": []}


async def test_queries_and_exports_come_from_the_game():
    """SAN, validation and PGN are the behaviour's; the gateway only carries them."""
    async with running() as gateway:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        game = await gateway.game(ann, bob)
        legal = await gateway.http.post(f"/games/{game}/validate", json={"uci": "e2e4"})
        assert legal.json() == {"legal": True, "san": "e4"}
        await gateway.http.post(f"/games/{game}/moves", json={"uci": "e2e4"}, headers=ann)
        assert (await gateway.http.get(f"/games/{game}?san=1")).json()["san"] == ["e4"]
        pgn = await gateway.http.get(f"/games/{game}.pgn")
        assert pgn.headers["content-type"].startswith("application/x-chess-pgn")
        assert "1. e4" in pgn.text
        assert '[White "Ann"]' in pgn.text
        assert '[Black "Bob"]' in pgn.text
        gateway.names.away = True
        gateway.app._book._known._entries.clear()
        nameless = await gateway.http.get(f"/games/{game}.pgn")
        assert nameless.status_code == 200
        assert "Ann" not in nameless.text


async def test_ended_games_are_listed_page_by_page():
    """`next` is the `before` of the page after."""
    async with running() as gateway:
        gateway.archive.ended = [Played(f"g{n}", "chess", 1000 * n, 40) for n in (3, 2, 1)]
        first = (await gateway.http.get("/users/ann/games?limit=2")).json()
        assert [g["id"] for g in first["games"]] == ["g3", "g2"]
        more = await gateway.http.get("/users/ann/games", params={"before": first["next"]})
        assert [g["id"] for g in more.json()["games"]] == ["g1"]
        assert more.json()["next"] is None


async def test_pages_meet_amid_games_that_ended_together():
    """However many games ended in one millisecond, a page's `next` goes on with the next one."""
    async with running() as gateway:
        gateway.archive.ended = [Played(f"g{n}", "chess", 1000 + n // 4, 40) for n in range(9)]
        seen, query = [], {"limit": 2}
        while query.get("before", "") is not None:
            page = (await gateway.http.get("/users/ann/games", params=query)).json()
            seen += [g["id"] for g in page["games"]]
            query["before"] = page["next"]
        assert seen == [f"g{n}" for n in reversed(range(9))]


async def test_operators_see_health_readiness_shards_and_metrics():
    """Readiness follows the router; metrics count what was answered."""
    async with running() as gateway:
        for path in ("/healthz", "/readyz", "/shards", "/docs", "/openapi.json", "/asyncapi.json"):
            assert (await gateway.http.get(path)).status_code == 200, path
        gateway.router.ready = False
        away = await gateway.http.get("/readyz")
        assert (away.status_code, away.json()["code"]) == (503, "unavailable")
        assert away.headers["retry-after"]
        await gateway.http.get("/games/nosuchgame")
        text = (await gateway.http.get("/metrics")).text
        assert (
            'gameshard_gateway_responses_total{gateway="gateway-0",status="404",what="state"} 1.0'
            in text
        )


async def test_metrics_tell_of_the_shards_as_long_as_anybody_knows_of_them():
    """Without a coordinator the gateway's own figures are told, and that the others aren't known."""
    async with running() as gateway:
        assert "gameshard_shards_known 1.0" in (await gateway.http.get("/metrics")).text
    async with running() as gateway:
        gateway.router.status = AsyncMock(side_effect=OSError("nobody there"))
        told = await gateway.http.get("/metrics")
        assert told.status_code == 200
        assert "gameshard_shards_known 0.0" in told.text
        assert "gameshard_gateway_sockets" in told.text


async def test_names_are_kept_and_their_absence_hurts_nobody():
    """A guest's name reaches the store; while the store is away games are shown without names."""
    async with running() as gateway:
        ann = await gateway.player("  Ann\t\u202eof  Ghent ")
        game = await gateway.game(ann)
        seat = (await gateway.http.get(f"/games/{game}")).json()["white"]
        assert seat["name"] == gateway.names.saved[seat["id"]] == "Ann of Ghent"
        gateway.names.away = True
        gateway.app._book._known._entries.clear()
        seat = (await gateway.http.get(f"/games/{game}")).json()["white"]
        assert seat["name"] is None


@pytest.mark.parametrize("command", ["moves", "resign"])
async def test_nobody_answering_is_503_and_says_when_to_come_again(command):
    """While the owner is away every command is 503 with Retry-After, and is not lost in doubt."""
    async with running() as gateway:
        ann = await gateway.player("Ann")
        game = await gateway.game(ann)
        gateway.router.away = True
        answer = await gateway.http.post(
            f"/games/{game}/{command}", json={"uci": "e2e4"}, headers=ann
        )
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert answer.headers["retry-after"] == "2"


async def test_limits_are_told_in_headers():
    """Over the limit it's 429 with Retry-After and RateLimit, for that user only."""
    async with running(create_rate=0.01, create_burst=2) as gateway:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        answers = [await gateway.http.post("/games", headers=ann) for _ in range(3)]
        assert [a.status_code for a in answers] == [201, 201, 429]
        assert answers[2].json()["code"] == "rate_limited"
        assert answers[2].headers["retry-after"] == "100"
        assert answers[2].headers["ratelimit"] == '"creations";r=0;t=100'
        assert answers[2].headers["ratelimit-policy"] == '"creations";q=2;w=200'
        assert (await gateway.http.post("/games", headers=bob)).status_code == 201


async def test_a_body_may_repeat_what_the_path_and_the_headers_say():
    """A client that sends one frame both ways isn't refused for it."""
    async with running() as gateway:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        game = await gateway.game(ann, bob)
        body = {"type": "move", "id": "k", "game": game, "uci": "e2e4"}
        headers = ann | {"idempotency-key": "k"}
        moved = await gateway.http.post(f"/games/{game}/moves", json=body, headers=headers)
        assert moved.status_code == 200, moved.text
