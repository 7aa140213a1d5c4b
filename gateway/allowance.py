"""How much one socket may say: so much of its own, and more while others leave something over.

A person sends a frame a second. A program that plays many games sends hundreds, which is welcome
as long as they're worth their work. So every frame has a price: an accepted command costs a fifth
of a token, a refused one five. A socket has tokens of its own, enough for a person. Without any
it's read later, in turn with others, from what the gateway can spare (`gateway.lane`); and who
then goes on with what is worth nothing is flooding.

What it said beyond its own is a debt, of `_DEBT_S` at most: until that's paid, it's read from what
can be spared.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from gateway.limits import Bucket

_FAULTS_S = 0.5
_FAULTS = 24
"""So the 27th frame in a row that nobody can read closes a socket: its tokens pay for three."""
_DEBT_S = 5.0


class Price(NamedTuple):
    """What a kind of frame costs beside the token for reading it.

    `fault` is what it counts towards being told to go, if the socket wants more than it has.
    """

    tokens: float
    fault: float


COMMAND = Price(4.0, 0.0)
"""Taken before it's known what becomes of it; then one of the next four is added."""
ACCEPTED = Price(-4.8, 0.0)
REFUSED = Price(0.0, 1.0)
REPEATED = Price(0.0, 1.0)
UNANSWERED = Price(-4.0, 0.0)
"""It's the system's fault."""
SUBSCRIBED_AGAIN = Price(9.0, 3.0)
MISTAKEN = Price(9.0, 1.0)
"""What no sound client sends."""
IDLE_TALK = Price(0.0, 1.0)
"""Pings, and whatever else changes nothing."""


@cache
def subscribed(most: int) -> Price:
    """Return the price of following a game, for a socket that may follow `most`.

    A whole state is packed, sent and unpacked; but a program that comes back follows all of its
    games at once. That's half of what would be flooding.
    """
    return Price(3.0, min(0.1, _FAULTS / 2 / most))


class Allowance:
    """The tokens of one socket. Times are of any one clock, in seconds.

    Attributes:
        over: Whether it wants more than it has: set by who reads it.
    """

    __slots__ = ("_faults", "_own", "over", "take")

    def __init__(self, rate: float, burst: int) -> None:
        """Give `rate` tokens a second, and `burst` of them at once."""
        self._own = Bucket(rate, burst)
        self._faults = Bucket(_FAULTS_S, _FAULTS)
        self.over = False
        self.take = self._own.take
        """Take the token for reading a frame; False if there's none."""

    def caught_up(self, now: float) -> None:
        """Note that all it said is read; it's forgiven as soon as it has tokens again."""
        if self.over:
            self.over = self._own.wait(now) > 0

    def charge(self, price: Price, now: float) -> bool:
        """Take what a frame turned out to cost; return whether the socket is flooding."""
        self._own.charge(now, price.tokens)
        if not price.fault:
            return False
        self._own.forgive(now, _DEBT_S)
        if not self.over:
            return False
        self._faults.charge(now, price.fault)
        return self._faults.wait(now) > 0
