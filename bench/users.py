"""The people of a load: guests with a token each, fetched before anything is measured."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import msgspec

from bench.http import Pool, UnansweredError


class User(NamedTuple):
    """A guest with the token that speaks for them."""

    id: str
    token: str


class _Guest(msgspec.Struct):
    id: str


class _Token(msgspec.Struct):
    token: str
    user: _Guest


async def fetch_users(pool: Pool, count: int, patience: float = 60.0) -> list[User]:
    """Return `count` new guests.

    Raises:
        UnansweredError: If the server gives no tokens within `patience` seconds.
    """
    numbers = iter(range(count))
    users: list[User] = []

    async def fetch() -> None:
        for number in numbers:
            body = msgspec.json.encode({"name": f"bench-{number}"})
            answer = await pool.call("POST", "/tokens", body=body, patience=patience)
            if answer.status != 201:
                raise UnansweredError("POST /tokens", answer)
            token = msgspec.json.decode(answer.body, type=_Token)
            users.append(User(token.user.id, token.token))

    await asyncio.gather(*(fetch() for _ in range(min(count, 16))))
    return users
