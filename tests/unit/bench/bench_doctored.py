"""A little server that speaks as much of the API as a load of moves needs, and can lie in chosen ways.

It knows no chess: it takes any move at the next ply. The n-th game is served with the n-th trick, in turn.
"""

import itertools
import threading
from typing import Any, Self

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

TRICKED_PLY = 2
"""The ply at which a game's trick is played: on its mover's own socket, or on the stored move."""


class Game:
    """One game: its log, its list of moves, who watches, and the trick that is played on it."""

    def __init__(self, name: str, trick: str) -> None:
        self.name = name
        self.trick = trick
        self.seq = 0
        self.log: list[dict[str, Any]] = []
        self.moves: list[str] = []
        self.watchers: list[WebSocket] = []
        self.held: dict[str, Any] | None = None
        self.clocks = {"white_ms": 600_000, "black_ms": 600_000}

    def append(self, kind: str, **fields: Any) -> dict[str, Any]:
        self.seq += 1
        event = {"type": kind, "game": self.name, "seq": self.seq, "at": f"T{self.seq}", **fields}
        self.log.append(event)
        return event


class Doctored:
    """The server, on a free port, in a thread of its own. Use it as a context manager.

    Args:
        tricks: "honest", "lost", "repeated", "disordered", "missed", "differing", "twin" (the
            log has the same move at another time) or "charged" (a minute), for each game.
        shards: What GET /shards answers.

    Attributes:
        told: How many events were sent to sockets, or are just being sent.
    """

    def __init__(self, tricks: tuple[str, ...], shards: dict[str, Any]) -> None:
        self.games: dict[str, Game] = {}
        self.shards = shards
        self.told = 0
        self._tricks = itertools.cycle(tricks)
        self._users = itertools.count()
        routes = [
            Route("/tokens", self._token, methods=["POST"]),
            Route("/shards", self._shards),
            Route("/games", self._create, methods=["POST"]),
            Route("/games/{game}/join", self._join, methods=["POST"]),
            Route("/games/{game}/events", self._events),
            Route("/games/{game}", self._game),
            WebSocketRoute("/ws", self._socket),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes), port=0, log_level="error", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            self._thread.join(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    async def _token(self, _: Request) -> Response:
        name = f"user-{next(self._users)}"
        return JSONResponse({"token": name, "user": {"id": name}}, 201)

    async def _shards(self, _: Request) -> Response:
        return JSONResponse(self.shards)

    async def _create(self, _: Request) -> Response:
        game = Game(f"game-{len(self.games)}", next(self._tricks))
        self.games[game.name] = game
        game.append("GameCreated")
        return JSONResponse({"id": game.name, "seq": 1}, 201)

    async def _join(self, request: Request) -> Response:
        game = self.games[request.path_params["game"]]
        game.append("PlayerJoined")
        return JSONResponse({"id": game.name, "seq": 2})

    async def _events(self, request: Request) -> Response:
        game = self.games[request.path_params["game"]]
        after = int(request.query_params["after"])
        return JSONResponse({"events": [each for each in game.log if each["seq"] > after]})

    async def _game(self, request: Request) -> Response:
        game = self.games[request.path_params["game"]]
        return JSONResponse({"id": game.name, "seq": game.seq, "moves": game.moves})

    async def _socket(self, socket: WebSocket) -> None:
        await socket.accept()
        try:
            async for text in socket.iter_text():
                await self._take(socket, msgspec.json.decode(text))
        except WebSocketDisconnect:
            pass

    async def _take(self, socket: WebSocket, frame: dict[str, Any]) -> None:
        game = self.games[frame["game"]]
        if frame["type"] == "subscribe":
            game.watchers.append(socket)
            await socket.send_json({"type": "resumed", "game": game.name, "seq": frame["after"]})
        elif frame["type"] == "move":
            if game.trick == "charged" and frame["ply"] == TRICKED_PLY:
                game.clocks["white_ms"] -= 60_000
            event = game.append("MovePlayed", ply=frame["ply"], uci=frame["uci"], **game.clocks)
            game.moves.append(frame["uci"])
            sent = [
                (watcher, each)
                for watcher in game.watchers
                for each in _sent(game, event, mover=watcher is socket)
            ]
            self.told += len(sent)
            accepted = {"type": "accepted", "id": frame["id"], "game": game.name}
            await socket.send_json(accepted | {"seq": event["seq"]})
            for watcher, each in sent:
                await watcher.send_json(each)
            _forge(game, event)


def _sent(game: Game, event: dict[str, Any], *, mover: bool) -> list[dict[str, Any]]:
    """What one watcher gets for `event`."""
    if game.held is not None and not mover and event["ply"] > TRICKED_PLY:
        held, game.held = game.held, None
        return [event, held]
    if event["ply"] != TRICKED_PLY or not mover:
        return [event]
    if game.trick == "disordered":
        game.held = event
    sent = {"repeated": [event, event], "missed": [], "disordered": []}
    return sent.get(game.trick, [event])


def _forge(game: Game, event: dict[str, Any]) -> None:
    """Change afterwards what was said before."""
    if event["ply"] == TRICKED_PLY and game.trick == "lost":
        game.log.pop()
    elif event["ply"] == TRICKED_PLY and game.trick == "differing":
        game.log[-1] = event | {"uci": "a1a1"}
    elif event["ply"] == TRICKED_PLY and game.trick == "twin":
        game.log[-1] = event | {"at": "T0"}
