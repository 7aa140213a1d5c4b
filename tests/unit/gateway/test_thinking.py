"""How long a player thought, as their own gateway measures it."""

import asyncio
from contextlib import asynccontextmanager

import msgspec
import pytest
from gateway_of_tests import running, said, say, until

from actors.chess.events import GameEnded, MovePlayed
from gateway.catalog import Catalog
from gateway.pauses import Pauses
from runtime.behaviours import load

UNKNOWN = -1


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Loop:
    """Rings by hand."""

    def __init__(self) -> None:
        self.rings = []

    def call_later(self, seconds, call):
        self.rings.append(call)
        return asyncio.TimerHandle(0, call, (), asyncio.get_running_loop())


@pytest.fixture
async def clock():
    return Clock()


@pytest.fixture
async def loop():
    return Loop()


async def test_a_pause_is_not_counted_for_what_may_have_waited_for_it(loop, clock):
    """Nor the ones just before it; but for what comes a second later, and turns that are late."""
    pauses = Pauses(loop, clock)
    for late in (0.2, 3.0, 2.0):
        clock.now += 0.1 + late
        loop.rings[-1]()
    assert pauses.awake_since(1_000.0) == pytest.approx(0.5)
    assert pauses.awake_since(1_002.5) == pytest.approx(0.1)  # within a pause
    clock.now += 5.1  # a pause that nobody has noticed yet
    assert pauses.awake_since(1_000.0) == pytest.approx(0.6)
    for _ in range(9):
        clock.now += 0.1
        loop.rings[-1]()
    assert pauses.awake_since(1_000.0) == pytest.approx(1.5)
    for _ in range(2):
        clock.now += 0.1
        loop.rings[-1]()
    assert pauses.awake_since(1_000.0) == pytest.approx(11.7)


def test_the_catalog_knows_events_that_pass_the_turn_by_their_bytes():
    """A move does, in every game; an offer or the end doesn't."""
    turning = Catalog(load(), "chess").turning
    move = MovePlayed(ply=0, uci="e2e4", by="white")
    assert msgspec.json.encode(move).startswith(turning)
    over = GameEnded(winner=None, termination="aborted")
    assert not msgspec.json.encode(over).startswith(turning)


async def sent(gateway, socket, kind, **frame):
    """Send a command and return the thought with which it went to the game."""
    before = len(gateway.router.asked)
    await say(socket, type=kind, **frame)
    await until(lambda: len(gateway.router.asked) > before)
    return gateway.router.asked[-1].thought_ms


@asynccontextmanager
async def at_the_board():
    """Yield (gateway, Bob's headers, game, White's socket, Black's) of a game that is followed."""
    async with running() as gateway:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        game = await gateway.game(ann, bob)
        path = f"/ws/games/{game}"
        async with gateway.ws(path, ann) as white, gateway.ws(path, bob) as black:
            await said(white, "snapshot")
            await said(black, "snapshot")
            yield gateway, bob, game, white, black


async def test_only_a_move_that_was_sent_as_it_happened_begins_a_thought():
    """A socket that came after it, or that begins anew, measures nothing until the next one."""
    async with at_the_board() as (gateway, bob, game, white, black):
        path = f"/ws/games/{game}"
        assert await sent(gateway, white, "move", uci="e2e4") == UNKNOWN
        await said(black, "MovePlayed")
        async with gateway.ws(path, bob) as later:
            await said(later, "snapshot")
            assert await sent(gateway, later, "move", uci="e7e5") == UNKNOWN
        await said(white, "MovePlayed")
        await said(white, "MovePlayed")
        assert 0 <= await sent(gateway, white, "move", uci="g1f3") < 60_000
        async with gateway.ws(f"{path}?after=0", bob) as again:
            await said(again, "MovePlayed")
            assert await sent(gateway, again, "move", uci="b8c6") == UNKNOWN


async def test_a_command_that_comes_again_is_as_old_as_the_first_time():
    """The same frame, and soon; another move is as old as it is."""
    async with at_the_board() as (gateway, _, game, white, black):
        await say(white, type="move", uci="e2e4")
        await said(black, "MovePlayed")
        gateway.router.away = True
        first = await sent(gateway, black, "move", uci="e7e5", ply=1)
        assert (await said(black, "rejected"))["code"] == "unavailable"
        topic = gateway.router.listeners[game]
        topic.turned_at -= 1_000
        assert await sent(gateway, black, "move", uci="e7e5", ply=1) == first
        await said(black, "rejected")
        (subscriber,) = (s for s in (*topic.players, *topic.watchers) if s.unanswered)
        subscriber.unanswered = subscriber.unanswered._replace(until=0.0)
        assert await sent(gateway, black, "move", uci="e7e5", ply=1) > 500_000
        await said(black, "rejected")
        assert await sent(gateway, black, "move", uci="d7d5", ply=1) > 500_000


async def test_an_offer_does_not_begin_a_thought_anew():
    """The time since the move is measured, whatever else came after it."""
    async with at_the_board() as (gateway, _, game, white, black):
        for socket, uci in ((white, "e2e4"), (black, "e7e5"), (white, "g1f3")):
            await say(socket, type="move", uci=uci)
            await said(white, "MovePlayed")
        topic = gateway.router.listeners[game]
        turned, topic.turned_at = topic.turned, topic.turned_at - 100
        await say(white, type="draw")
        await said(black, "DrawOffered")
        assert topic.turned == turned
        assert await sent(gateway, black, "move", uci="b8c6") > 50_000
