"""Gateways over real shards, links and Postgres, in one process: what players notice of it all."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from gateway_of_tests import SECRET, said, say, until
from websockets.asyncio.client import connect

from gateway.app import App, Parts
from gateway.server import Server, listen
from gateway.settings import GatewaySettings
from persistence.postgres import PostgresStores
from runtime.behaviours import load
from runtime.router import Router
from runtime.settings import RouterSettings, ShardSettings
from runtime.shard import Shard
from runtime.table import Route, RoutingTable

PARTITIONS = 4


class Gateway:
    """One gateway of the cluster; has the same clients as the unit tests' one."""

    def __init__(self, cluster, name: str) -> None:
        self.cluster, self.name = cluster, name

    async def start(self) -> None:
        cluster = self.cluster
        self.router = Router(self.name, SECRET, RouterSettings(), cluster)
        await self.router.start()
        self.app = App(
            Parts(
                name=self.name,
                router=self.router,
                behaviours=load(),
                settings=GatewaySettings(),
                secret=SECRET,
                names=cluster.stores.names,
                archive=cluster.stores.snapshots,
                ready=lambda: self.router.ready,
            )
        )
        self.server = Server(self.app)
        sock = listen("127.0.0.1", 0)
        self.port = sock.getsockname()[1]
        await self.server.start(sock)
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}")

    async def stop(self) -> None:
        await self.http.aclose()
        await self.server.stop()
        await self.router.close()

    def ws(self, path: str, headers=None):
        return connect(f"ws://127.0.0.1:{self.port}{path}", additional_headers=headers)


class Cluster:
    """Postgres, one shard at a time, two gateways."""

    def __init__(self, dsn: str) -> None:
        self.stores = PostgresStores(dsn)
        self.table = RoutingTable(0, ())
        self.shard: Shard | None = None
        self.gateways: list[Gateway] = []
        self.epoch = 0

    async def routes(self) -> RoutingTable:
        return self.table

    async def suspect(self, address) -> None:
        """Nobody looks: the tests hand over by themselves."""

    async def describe(self) -> dict[str, object]:
        return {"partitions": PARTITIONS, "shards": [self.shard.status()]}

    async def take_over(self) -> Shard:
        """Start a shard that takes all partitions; the gateways hear of it when it serves."""
        expected, self.epoch = self.epoch, self.epoch + 1
        shard = Shard(
            f"s/{self.epoch}",
            load(),
            (self.stores.log, self.stores.snapshots),
            None,
            SECRET,
            ShardSettings(save_every=0.01),
        )
        address = await shard.start("127.0.0.1")
        for partition in range(PARTITIONS):
            await self.stores.assignments.assign(partition, shard.incarnation, expected)
            await shard.open(partition, self.epoch)
        routes = [Route(p, self.epoch, "s", address) for p in range(PARTITIONS)]
        self.table = RoutingTable(self.epoch, routes)
        self.shard = shard
        return shard

    async def hand_over(self) -> None:
        """Let a new shard take over from the one that serves, which finds out by itself."""
        old = self.shard
        await self.take_over()
        for gateway in self.gateways:
            gateway.router.route(self.table)
        await old.stop(0.1)

    async def start(self) -> None:
        await self.take_over()
        self.gateways = [Gateway(self, f"gateway-{n}") for n in range(2)]
        for gateway in self.gateways:
            await gateway.start()
        await until(lambda: all(g.router.ready for g in self.gateways))

    async def stop(self) -> None:
        for gateway in self.gateways:
            await gateway.stop()
        await self.shard.stop(2.0)
        await self.stores.close()


@asynccontextmanager
async def running(dsn: str):
    cluster = Cluster(dsn)
    await cluster.start()
    try:
        yield cluster
    finally:
        await cluster.stop()


@pytest.fixture
async def cluster(dsn):
    async with running(dsn) as it:
        yield it


async def player(gateway: Gateway, name: str) -> dict[str, str]:
    body = (await gateway.http.post("/tokens", json={"name": name})).json()
    return {"authorization": f"Bearer {body['token']}", "x-user": body["user"]["id"]}


async def new_game(gateway: Gateway, ann, bob) -> str:
    made = await gateway.http.post("/games", json={"color": "white"}, headers=ann)
    assert made.status_code == 201, made.text
    game = made.json()["id"]
    joined = await gateway.http.post(f"/games/{game}/join", headers=bob)
    assert joined.json()["status"] == "started", joined.text
    return game


MATE = ("f2f3", "e7e5", "g2g4", "d8h4")


async def test_a_game_is_played_over_two_gateways_to_its_archive(cluster):
    """Players on different gateways see the same events; the ended game is in both their lists."""
    first, second = cluster.gateways
    ann, bob = await player(first, "Ann"), await player(second, "Bob")
    game = await new_game(first, ann, bob)
    async with (
        first.ws(f"/ws/games/{game}", ann) as white,
        second.ws(f"/ws/games/{game}", bob) as black,
    ):
        opened = [await said(socket, "snapshot") for socket in (white, black)]
        assert [o["state"]["white"]["name"] for o in opened] == ["Ann", "Ann"]
        for ply, uci in enumerate(MATE):
            await say((white, black)[ply % 2], type="move", id=f"c{ply}", uci=uci, ply=ply)
            seen = [await said(socket, "MovePlayed") for socket in (white, black)]
            assert seen[0] == seen[1]
            assert seen[0]["uci"] == uci
        ends = [await said(socket, "GameEnded") for socket in (white, black)]
        assert [e["winner"] for e in ends] == ["black", "black"]
    view = (await second.http.get(f"/games/{game}")).json()
    assert (view["status"], view["termination"]) == ("ended", "checkmate")
    pgn = (await first.http.get(f"/games/{game}.pgn")).text
    assert "Qh4#" in pgn
    for who in (ann, bob):
        path = f"/users/{who['x-user']}/games"
        async with asyncio.timeout(5):
            while not (games := (await second.http.get(path)).json()["games"]):
                pass
        assert [(g["id"], g["moves"]) for g in games] == [(game, 4)]


async def test_sockets_live_through_a_change_of_owner(cluster):
    """While another shard takes over, each event comes once and in order on the same socket."""
    gateway, other = cluster.gateways
    ann, bob = await player(gateway, "Ann"), await player(gateway, "Bob")
    game = await new_game(gateway, ann, bob)
    async with AsyncExitStack() as stack:
        white, black = [
            await stack.enter_async_context(gateway.ws(f"/ws/games/{game}", who))
            for who in (ann, bob)
        ]
        watcher = await stack.enter_async_context(other.ws(f"/ws/games/{game}?after=0"))
        moves = ["g1f3", "g8f6", "f3g1", "f6g8"] * 2
        for ply, uci in enumerate(moves[:4]):
            await say((white, black)[ply % 2], type="move", id=f"c{ply}", uci=uci, ply=ply)
            for socket in (white, black):
                await said(socket, "MovePlayed")
        for ply, uci in enumerate(moves[4:], 4):
            if ply == 5:
                await cluster.hand_over()
            await say((white, black)[ply % 2], type="move", id=f"c{ply}", uci=uci, ply=ply)
            heard = [(await said(socket, "MovePlayed"))["ply"] for socket in (white, black)]
            assert heard == [ply, ply]
        events = [await said(watcher) for _ in range(11)]
        assert events[0]["type"] == "resumed"
        assert [e["seq"] for e in events[1:]] == list(range(1, 11))


async def test_a_resumed_client_finds_what_it_missed_also_after_a_take_over(cluster):
    """`after` works at any age, whoever owns the game now."""
    gateway, other = cluster.gateways
    ann, bob = await player(gateway, "Ann"), await player(gateway, "Bob")
    game = await new_game(gateway, ann, bob)
    async with gateway.ws(f"/ws/games/{game}", ann) as socket:
        seen = (await said(socket, "snapshot"))["seq"]
    for ply, uci in enumerate(MATE[:2]):
        body = {"uci": uci, "ply": ply}
        answer = await gateway.http.post(f"/games/{game}/moves", json=body, headers=(ann, bob)[ply])
        assert answer.status_code == 200
    await cluster.hand_over()
    async with other.ws(f"/ws/games/{game}?after={seen}", ann) as socket:
        resumed = await said(socket)
        assert (resumed["type"], resumed["seq"]) == ("resumed", seen + 2)
        assert [(await said(socket))["uci"] for _ in range(2)] == list(MATE[:2])


async def test_presence_is_seen_over_all_gateways(cluster):
    """Who is connected at one gateway is told at the other, and so is their leaving."""
    first, second = cluster.gateways
    ann, bob = await player(first, "Ann"), await player(second, "Bob")
    game = await new_game(first, ann, bob)
    async with first.ws(f"/ws/games/{game}", ann) as white:
        async with second.ws(f"/ws/games/{game}", bob):
            async with asyncio.timeout(5):
                while (seen := await said(white, "presence"))["watchers"] < 2:
                    pass
            assert (seen["white"], seen["black"]) == (True, True)
        gone = await said(white, "presence")
        assert (gone["white"], gone["black"], gone["watchers"]) == (True, False, 1)


async def test_a_repeat_reaches_the_first_answer_by_any_gateway(cluster):
    """Keys of HTTP and ids of frames are the game's own memory, whichever gateway carries them."""
    first, second = cluster.gateways
    ann, bob = await player(first, "Ann"), await player(first, "Bob")
    key = {"idempotency-key": "k1"}
    made = [
        await g.http.post("/games", json={"color": "white"}, headers=ann | key)
        for g in cluster.gateways
    ]
    assert [m.status_code for m in made] == [201, 201]
    game = made[0].json()["id"]
    assert made[1].json()["id"] == game
    await first.http.post(f"/games/{game}/join", headers=bob)
    moved = await first.http.post(
        f"/games/{game}/moves", json={"uci": "e2e4"}, headers=ann | {"idempotency-key": "m1"}
    )
    async with second.ws("/ws", ann) as socket:
        await say(socket, type="move", game=game, id="m1", uci="e2e4")
        again = await said(socket, "accepted")
    assert again["seq"] == moved.json()["seq"]
    events = (await second.http.get(f"/games/{game}/events")).json()["events"]
    assert [e["type"] for e in events].count("MovePlayed") == 1
