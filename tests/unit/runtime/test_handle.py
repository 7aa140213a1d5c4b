"""Which shard a handle calls, by the routing table that it has; Ray's part is played here."""

from types import SimpleNamespace

import pytest

from runtime import handle
from runtime.asks import GameError
from runtime.handle import Games
from runtime.partitions import partition_of
from runtime.table import Route, RoutingTable


@pytest.fixture
def tables(monkeypatch):
    """The tables that the coordinator gives, one after another; the last one stays."""
    given: list[RoutingTable] = []

    def get(reference, timeout):
        del reference, timeout
        return given.pop(0) if len(given) > 1 else given[0]

    def actor(name, namespace):
        del namespace
        return SimpleNamespace(name=name, call=SimpleNamespace(remote=lambda *_: None))

    monkeypatch.setattr(handle, "ray", SimpleNamespace(get=get, get_actor=actor))
    monkeypatch.setattr(handle, "sleep", lambda _: None)
    return given


def table(version: int, *addresses) -> RoutingTable:
    return RoutingTable(
        version, [Route(p, 1, f"shard-{p}", address) for p, address in enumerate(addresses)]
    )


def living_in(partition: int) -> str:
    return next(f"g{i}" for i in range(100) if partition_of(f"g{i}", 2) == partition)


ADDRESS = ("127.0.0.1", 1)


def test_a_game_with_an_owner_needs_no_other_partitions(tables):
    """Whatever has no owner just then, a game that has one is asked at once."""
    tables.append(table(1, ADDRESS, None))
    games = Games.connect()
    assert games.shard(living_in(0)).name == "shard-0"


def test_a_game_without_an_owner_waits_for_its_own(tables):
    """The table is fetched anew until the game's own partition has an owner."""
    tables += [table(1, ADDRESS, None), RoutingTable(1, ()), table(2, None, ADDRESS)]
    games = Games.connect()
    assert games.shard(living_in(1)).name == "shard-1"


def test_a_game_that_gets_no_owner_is_unavailable(tables, monkeypatch):
    """It isn't waited for beyond the time of a call."""
    moments = iter([0.0, 1.0, 100.0])
    monkeypatch.setattr(handle, "monotonic", lambda: next(moments))
    tables.append(table(1, ADDRESS, None))
    games = Games.connect()
    with pytest.raises(GameError) as caught:
        games.shard(living_in(1))
    assert caught.value.code == "unavailable"
