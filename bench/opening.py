"""How two players of a load come to sit at a new game: create and join, over HTTP."""

from __future__ import annotations

from typing import Any

import msgspec

from bench.http import Answer, Pool, UnansweredError
from bench.scripts import Script
from bench.users import User


class NewGame(msgspec.Struct):
    """The game as the server answers it, as far as a load needs it."""

    id: str
    seq: int


async def new_game(
    pool: Pool, script: Script, players: tuple[User, User], key: str, *, clock: bool
) -> NewGame:
    """Create the game of `script` as White, join it as Black; with `clock`, under its clock.

    Both requests carry a key, so they are repeated while the server is away.

    Raises:
        UnansweredError: If the server refused, or was away for long.
    """
    wish: dict[str, Any] = {"variant": script.variant, "color": "white"}
    if script.fen is not None:
        wish["fen"] = script.fen
    if clock and script.clock is not None:
        wish["clock"] = {"initial": script.clock[0], "increment": script.clock[1]}
    white, black = players
    body = msgspec.json.encode(wish)
    game = _read(await pool.call("POST", "/games", white.token, body, key), 201)
    path = f"/games/{game.id}/join"
    return _read(await pool.call("POST", path, black.token, key=f"{key}-join"), 200)


def _read(answer: Answer, status: int) -> NewGame:
    if answer.status != status:
        raise UnansweredError(f"expected {status}", answer)
    try:
        return msgspec.json.decode(answer.body, type=NewGame)
    except msgspec.DecodeError as error:
        raise UnansweredError(str(error), answer) from error
