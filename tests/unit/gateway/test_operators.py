"""POST /operations: for those who know the cluster's secret, and nobody else."""

import pytest
from gateway_of_tests import SECRET, running

from gateway.operators import operator_token

DRAIN = b'{"type":"drain","shard":"shard-1"}'


def operator(secret=SECRET):
    return {"authorization": f"Bearer {operator_token(secret)}"}


async def test_an_operator_begins_an_operation():
    """The verb reaches the coordinator as it is; the answer is 202 with its progress."""
    async with running() as gateway:
        answer = await gateway.http.post("/operations", content=DRAIN, headers=operator())
        assert gateway.router.operated == [DRAIN]
        assert answer.status_code == 202
        assert answer.json() == {
            "verb": "drain",
            "state": "running",
            "detail": "",
            "left": 3,
            "of": 8,
        }


async def test_nobody_else_operates():
    """Without the token, with another secret's or a player's, nothing reaches the coordinator."""
    async with running() as gateway:
        right = operator()["authorization"]
        strangers = [
            {},
            operator(b"another"),
            await gateway.player("Ann"),
            {"authorization": right.removeprefix("Bearer ")},
            {"authorization": right + "x"},
            {"authorization": right[:-1]},
            {"authorization": "Bearer \xe9".encode("latin-1")},
            {"authorization": "Bearer"},
        ]
        for headers in strangers:
            answer = await gateway.http.post("/operations", content=DRAIN, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), headers
            assert answer.headers["www-authenticate"] == "Bearer"
        assert gateway.router.operated == []


async def test_the_operators_token_plays_no_games():
    """It's no player's token: the two are never taken for each other."""
    async with running() as gateway:
        answer = await gateway.http.post("/games", headers=operator())
        assert answer.status_code == 401


@pytest.mark.parametrize("verb", [b"", b"{", b"{}", b'{"type":"fly"}', b'{"type":"scale"}'])
async def test_what_is_refused_is_409_and_says_why(verb):
    """A refusal of the coordinator is told in its own words."""
    async with running() as gateway:
        answer = await gateway.http.post("/operations", content=verb, headers=operator())
        assert (answer.status_code, answer.json()["code"]) == (409, "operation_refused")
        assert answer.json()["detail"].startswith("This isn't an operation:")


async def test_a_verb_is_bounded():
    """A body over the limit is 413 and isn't passed on."""
    async with running() as gateway:
        body = b" " * 17_000
        answer = await gateway.http.post("/operations", content=body, headers=operator())
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert gateway.router.operated == []


async def test_a_coordinator_that_is_away_is_503():
    """Nobody knows then whether it was begun; the answer says when to ask again."""
    async with running() as gateway:
        gateway.router.away = True
        answer = await gateway.http.post("/operations", content=DRAIN, headers=operator())
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert answer.headers["retry-after"] == "2"


async def test_operations_take_post_only():
    """Reading them is GET /shards."""
    async with running() as gateway:
        answer = await gateway.http.get("/operations", headers=operator())
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
