"""What a socket may say, who is kept away, and whose turn it is."""

from functools import partial
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import allowance as prices
from gateway.admission import Admission, caller
from gateway.allowance import ACCEPTED, COMMAND, IDLE_TALK, MISTAKEN, REFUSED, Allowance
from gateway.lane import Lane
from gateway.limits import Penalties
from gateway.metrics import Counts
from gateway.settings import GatewaySettings

SETTINGS = GatewaySettings()


def fresh() -> Allowance:
    return Allowance(SETTINGS.frame_rate, SETTINGS.frame_burst)


def read(one: Allowance, now: float) -> None:
    if not one.take(now):
        one.over = True


@given(st.lists(st.floats(0.011, 0.1), min_size=1, max_size=400))
def test_a_hundred_accepted_commands_a_second_are_within_the_allowance(pauses):
    """A program that waits for each answer is neither read later nor called a flood at 90 a second."""
    one, now = fresh(), 100.0
    for pause in pauses:
        assert one.take(now)
        assert not one.charge(COMMAND, now)
        assert not one.charge(ACCEPTED, now)
        now += pause


@pytest.mark.parametrize("price", [IDLE_TALK, REFUSED, MISTAKEN])
def test_who_goes_on_without_tokens_is_flooding(price):
    """At a thousand a second it's known after a few dozen frames; at one in ten seconds never."""
    one = fresh()
    for n in range(60):
        read(one, n / 1000)
        if one.charge(price, n / 1000):
            break
    else:
        pytest.fail("not found")
    slow = fresh()
    for n in range(500):
        read(slow, 10.0 * n)
        assert not slow.charge(price, 10.0 * n)
        slow.caught_up(10.0 * n)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5_000))
def test_who_comes_back_may_follow_all_its_games_at_once(most):
    """As many as one socket may follow are no flood, however fast; to go on and on like that is."""
    one = fresh()
    price = prices.subscribed(most)
    for _ in range(most):
        read(one, 0.0)
        assert not one.charge(price, 0.0)
    for _ in range(most + 250):
        read(one, 0.0)
        if one.charge(price, 0.0):
            return
    pytest.fail("not found")


@pytest.mark.parametrize("price", [prices.subscribed(256), MISTAKEN, prices.SUBSCRIBED_AGAIN])
def test_a_debt_is_paid_in_five_seconds(price):
    """Whatever a socket said at once, after five seconds of silence it's read at once again."""
    one = fresh()
    for _ in range(256):
        read(one, 0.0)
        one.charge(price, 0.0)
    one.caught_up(4.9)
    assert one.over
    assert not one.take(4.9)
    one.caught_up(5.1)
    assert not one.over
    assert one.take(5.1)


def test_commands_under_way_are_no_debt_to_be_forgiven():
    """What is taken in advance for 64 unanswered commands is given back, and nothing more."""
    one = fresh()
    assert all(one.take(0.0) for _ in range(20))
    for price in [COMMAND] * 64 + [prices.UNANSWERED] * 64:
        one.charge(price, 0.0)
    assert sum(one.take(0.0) for _ in range(100)) == 10


def test_what_isnt_the_clients_fault_costs_what_any_frame_does():
    """A command that the system couldn't answer leaves the same tokens as a plain frame."""
    one, plain = fresh(), fresh()
    assert one.take(0.0)
    assert plain.take(0.0)
    one.charge(COMMAND, 0.0)
    one.charge(prices.UNANSWERED, 0.0)
    left = [sum(each.take(0.0) for _ in range(100)) for each in (one, plain)]
    assert left == [29, 29]


def test_penalties_double_and_are_forgotten():
    """Each offence keeps away twice as long, up to a bound; after ten times as long it's forgotten."""
    penalties = Penalties(10.0, 30.0, 2)
    assert penalties.punish("eve", 0.0) == 10.0
    assert penalties.left("eve", 4.0) == 6.0
    assert penalties.punish("eve", 4.0) == 6.0  # another socket of hers, in the same go
    assert penalties.left("eve", 10.0) == 0.0
    assert [penalties.punish("eve", at) for at in (11.0, 40.0)] == [20.0, 30.0]
    assert penalties.punish("eve", 70.0 + 301.0) == 10.0
    assert penalties.left("ann", 0.0) == 0.0
    penalties.bar("ann", 500.0)
    penalties.bar("bob", 500.0)
    assert penalties.left("eve", 372.0) == 0.0  # forgotten: two are remembered
    assert penalties.left("ann", 499.0) == 1.0


def test_being_barred_is_no_offence():
    """Who was only told to wait isn't punished longer for the first offence."""
    penalties = Penalties(10.0, 30.0, 2)
    penalties.bar("ann", 5.0)
    assert penalties.punish("ann", 6.0) == 10.0


class Visitor:
    def __init__(self, lane, times: int, order: list) -> None:
        self.lane, self.times, self.order = lane, times, order

    def visit(self) -> None:
        self.order.append(self)
        self.times -= 1
        if self.times:
            self.lane.join(self)


def test_everybody_in_the_lane_has_their_turn():
    """One a tick, round and round; the timer rests when nobody waits."""
    timers: list = []
    lane = Lane(SimpleNamespace(call_later=lambda _, what: timers.append(what) or what), 10.0, 1)
    order: list = []
    first, second = Visitor(lane, 3, order), Visitor(lane, 2, order)
    lane.join(first)
    lane.join(second)
    while timers:
        timers.pop()()
    assert order == [first, second, first, second, first]
    assert len(lane) == 0


def test_whoever_waits_gets_a_quarter_of_the_time_at_most():
    """Behind a visit the others have three times as long as it took, and never less than a tick."""
    waits: list[float] = []
    timers: list = []
    clock = SimpleNamespace(now=0.0)

    def call_later(wait, what):
        waits.append(wait)
        timers.append(what)
        return what

    def visit(took: float) -> None:
        clock.now += took

    lane = Lane(SimpleNamespace(call_later=call_later), 10.0, 1, lambda: clock.now)
    for took in (0.0001, 0.01, 0.0):
        lane.join(SimpleNamespace(visit=partial(visit, took)))
    while timers:
        timers.pop()()
    assert waits == [0.002, 0.002, pytest.approx(0.03)]


def test_spare_tokens_are_first_for_those_who_wait():
    """Who comes while others wait gets none; at a visit there is one."""
    timers: list = []
    lane = Lane(SimpleNamespace(call_later=lambda _, what: timers.append(what) or what), 10.0, 1)
    assert lane.spare(0.0)
    assert not lane.spare(0.0)  # it holds a tenth of a second's
    got: list[bool] = []
    lane.join(SimpleNamespace(visit=lambda: got.append(lane.spare(1.0))))
    assert not lane.spare(1.0)
    timers.pop()()
    assert got == [True]


def admission(**settings):
    known = {"token": SimpleNamespace(id="ann")}
    identity = SimpleNamespace(known=known.get)
    clock = SimpleNamespace(now=0.0)
    given = GatewaySettings(**settings)
    return Admission(identity, given, Counts(), SimpleNamespace(), lambda: clock.now), clock


BEARERS = [
    [(b"authorization", b"Bearer token")],
    [(b"sec-websocket-protocol", b"bearer, token")],
]


@pytest.mark.parametrize("headers", BEARERS)
def test_a_user_is_known_at_the_door_wherever_the_token_stands(headers):
    """A penalty is the user's, from any address; and an address's is for those without a token."""
    door, clock = admission(penalty=10.0)
    assert door.at_door(headers, "1.2.3.4") == 0.0
    door.punish(caller("ann", "1.2.3.4"))
    clock.now = 4.0
    assert door.at_door(headers, "5.6.7.8") == 6.0
    assert door.at_door([], "1.2.3.4") == 0.0
    door.punish(caller(None, "9.9.9.9"))
    assert door.at_door([], "9.9.9.9") == 10.0
    assert door.at_door(headers, "9.9.9.9") == 6.0
    assert door.at_door([(b"authorization", b"Bearer other")], "9.9.9.9") == 10.0


def test_behind_proxies_an_address_tells_nothing_at_the_door():
    """There the address is the proxy's; the door looks at users only, the handshake at the rest."""
    door, _ = admission(trusted_proxies="10.0.0.1")
    door.punish(caller(None, "10.0.0.1"))
    assert door.at_door([], "10.0.0.1") == 0.0
    door.punish(caller(None, "9.9.9.9"))
    assert door.enter(None, "9.9.9.9") > 0
    assert door.enter(None, "8.8.8.8") == 0.0
