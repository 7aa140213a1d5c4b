"""Requests that take long: games rendered beside the loop, polls that wait, each caller's share."""

import asyncio
import threading

import pytest
from gateway_of_tests import running, until

from gateway import polls, workroom
from gateway.problems import Problem
from gateway.shares import Shares
from gateway.workroom import Workroom


def test_places_are_bounded_in_all_and_for_each():
    """A caller has no more than its share, all together no more than there are."""
    shares = Shares(3, 2)
    assert [shares.take(who) for who in ("ann", "ann", "ann")] == [True, True, False]
    assert [shares.take(who) for who in ("bob", "bob")] == [True, False]
    shares.give("ann")
    assert shares.take("bob")
    assert shares.taken == 3


class Held:
    """Work that lasts until it's let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.go.wait(5)
        return threading.current_thread().name


async def test_work_is_done_beside_the_loop_and_too_much_of_it_refused(monkeypatch):
    """The loop runs meanwhile; whoever has their share is told to come again, others aren't."""
    monkeypatch.setattr(workroom, "_EACH", 2)
    room, held = Workroom(), Held()
    first = asyncio.ensure_future(room.do("ann", held))
    await until(held.begun.is_set)
    second = asyncio.ensure_future(room.do("ann", lambda: "second"))
    other = asyncio.ensure_future(room.do("bob", lambda: "other"))
    await asyncio.sleep(0)
    with pytest.raises(Problem) as refused:
        await room.do("ann", lambda: "third")
    assert refused.value.code == "overloaded"
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    third = asyncio.ensure_future(room.do("ann", lambda: "third"))
    held.go.set()
    done = await asyncio.gather(first, other, third)
    assert done[0].startswith("gameshard-render")
    assert done[1:] == ["other", "third"]


async def test_work_that_has_begun_keeps_its_place_when_nobody_waits_any_more(monkeypatch):
    """Asking and hanging up gets nobody more than their share of the thread."""
    monkeypatch.setattr(workroom, "_EACH", 1)
    room, held = Workroom(), Held()
    first = asyncio.ensure_future(room.do("ann", held))
    await until(held.begun.is_set)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    with pytest.raises(Problem):
        await room.do("ann", lambda: None)
    held.go.set()
    assert await room.do("bob", lambda: "bob") == "bob"
    assert await room.do("ann", lambda: "ann") == "ann"


@pytest.mark.parametrize("wish", [".pgn", "?san=1"])
async def test_others_are_served_while_a_long_game_is_rendered(wish, monkeypatch):
    """Exports and views that are asked for more than the plain state never hold the loop."""
    async with running() as gateway:
        ann = await gateway.player("Ann")
        game = await gateway.game(ann)
        held, chess = Held(), gateway.app._games._catalog.kinds["chess"].behaviour
        for name in ("export", "view"):
            real = getattr(chess, name)

            def slow(*args, real=real):
                if threading.current_thread() is not threading.main_thread():
                    held()
                return real(*args)

            monkeypatch.setattr(chess, name, slow)
        rendered = asyncio.ensure_future(gateway.http.get(f"/games/{game}{wish}"))
        await until(held.begun.is_set)
        assert (await gateway.http.get(f"/games/{game}")).status_code == 200
        assert not rendered.done()
        held.go.set()
        assert (await rendered).status_code == 200


async def test_exports_are_counted_and_their_parameters_checked():
    """The readers' limit holds for exports, and a parameter that means nothing is refused."""
    async with running(read_rate=0.01, read_burst=2) as gateway:
        ann = await gateway.player("Ann")
        game = await gateway.game(ann)
        answers = [await gateway.http.get(f"/games/{game}.pgn{q}") for q in ("", "?san=1", "")]
        assert [a.status_code for a in answers] == [200, 400, 429]


async def hang_up_while_polling(gateway, game) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(
        b"GET /games/%b/events?after=1&wait=60 HTTP/1.1\r\nhost: x\r\n\r\n" % game.encode()
    )
    await until(lambda: gateway.app.counts.polls == 1)
    writer.close()
    await writer.wait_closed()


async def test_a_poll_whose_caller_is_gone_gives_its_place_back():
    """A dropped connection ends its poll at once, and nobody is kept out by it."""
    async with running(polls=1) as gateway:
        ann = await gateway.player("Ann")
        game = await gateway.game(ann)
        for _ in range(2):
            await hang_up_while_polling(gateway, game)
            await until(lambda: gateway.app.counts.polls == 0)


async def test_a_caller_has_a_share_of_the_polls():
    """Who has as many as they may is answered at once, while others can wait."""
    async with running(caller_polls=1) as gateway:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        game = await gateway.game(ann)
        path, get = f"/games/{game}/events?after=1&wait=30", gateway.http.get
        waiting = [asyncio.ensure_future(get(path, headers=who, timeout=30)) for who in (ann, bob)]
        await until(lambda: gateway.app.counts.polls == 2)
        again = await gateway.http.get(path, headers=ann)
        assert again.json() == {"seq": 1, "events": []}
        await gateway.http.post(f"/games/{game}/join", headers=bob)
        assert [len((await w).json()["events"]) for w in waiting] == [1, 1]


async def test_a_long_poll_asks_in_slices(monkeypatch):
    """However long somebody waits, the owner is never asked to wait long; nothing gets lost."""
    monkeypatch.setattr(polls, "_SLICE_S", 0.01)
    async with running() as gateway:
        ann, bob = await gateway.player("Ann"), await gateway.player("Bob")
        game = await gateway.game(ann)
        asked, real = [], gateway.router.events

        async def events(game, after, wait, timeout):
            asked.append(wait)
            return await real(game, after, wait, timeout)

        monkeypatch.setattr(gateway.router, "events", events)
        path = f"/games/{game}/events?after=1&wait=30"
        waiting = asyncio.ensure_future(gateway.http.get(path))
        await until(lambda: len(asked) > 2)
        await gateway.http.post(f"/games/{game}/join", headers=bob)
        assert [e["seq"] for e in (await waiting).json()["events"]] == [2]
        assert max(asked) <= 0.01
