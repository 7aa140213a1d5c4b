"""Gateways that are restarted one after another."""

from types import SimpleNamespace

import pytest

from runtime.rolling import GatewayRestart, dispersed


class Peers:
    """Gateways that do as they're told, and what they were told."""

    def __init__(self, sockets: dict[str, int], deaf: str = "") -> None:
        self.sockets = sockets
        self.deaf = deaf
        self.told: list[tuple[str, ...]] = []

    def gateways(self):
        return list(self.sockets)

    async def call(self, name, method, *args, timeout=5.0):
        if method == "ready":
            return name != self.deaf
        if method == "sockets":
            return self.sockets[name]
        self.told.append((method, name, *args))
        return None

    async def restart(self, name, timeout):
        self.told.append(("restart", name))
        self.deaf = ""


async def restarted(peers: Peers) -> list[tuple[str, ...]]:
    restart = GatewayRestart(peers, peers)
    for name in peers.gateways():
        await restart.restart(name, SimpleNamespace(detail=""), pytest.fail)
    await restart.even_out()
    return peers.told


async def test_each_gateways_clients_go_elsewhere_before_it_ends():
    """One after another is drained, then restarted."""
    told = await restarted(Peers({"a": 10, "b": 10}))
    assert told == [("drain", "a"), ("restart", "a"), ("drain", "b"), ("restart", "b")]


@pytest.mark.parametrize(("sockets", "deaf"), [({"a": 5}, ""), ({"a": 5, "b": 5}, "b")])
async def test_nobody_is_sent_where_nobody_is(sockets, deaf):
    """Clients of the only gateway that is there stay until it ends."""
    told = await restarted(Peers(sockets, deaf))
    assert told[0] == ("restart", "a")


async def test_in_the_end_clients_are_spread_again():
    """Whoever has far more than the others asks as many to connect anew as would make it even."""
    told = await restarted(Peers({"a": 100, "b": 0}))
    assert told[-1] == ("disperse", "a", 100)


def test_who_connects_anew_may_come_back():
    """So more are asked than are too many; an ordinary difference is left as it is."""
    assert dispersed({"a": 300, "b": 30, "c": 0}) == {"a": 285}
    assert dispersed({"a": 120, "b": 100, "c": 80}) == {}
    assert dispersed({"a": 100}) == {}
    assert dispersed({"a": 0, "b": 0}) == {}
