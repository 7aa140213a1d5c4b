"""What the tables of a load share, and what they tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from bench.http import Pool
from bench.scripts import Script
from bench.seat import Frame
from bench.tally import Tally
from bench.users import User

if TYPE_CHECKING:
    from bench.table import Table


class Ended(NamedTuple):
    """How a game ended as its players saw it; `ending` is "" if they never saw an end.

    `players` are White and Black, with the tokens that may go on with a game that was left.
    """

    script: Script
    game: str
    winner: str | None
    ending: str
    players: tuple[User, User]


class House(Protocol):
    """What tables share. `bench.hall.Hall` is it."""

    tally: Tally
    pool: Pool
    paced: bool
    timed: bool
    clocks: bool
    endings: bool
    halted: bool

    def next_script(self) -> Script | None:
        """Hand out what is played next; None: nothing more."""
        ...

    def new_key(self) -> str:
        """Return an idempotency key for a new game."""
        ...

    def moved(self, frame: Frame, latency: float, since_sent: float) -> None:
        """Take note that a move's mover has its event; both latencies in seconds."""
        ...

    def seen(self, latency: float) -> None:
        """Take note that a move's opponent has its event."""
        ...

    def opened(self, table: Table) -> None:
        """Take note that a table's next game begins."""
        ...

    def over(self, ended: Ended) -> None:
        """Take note that a game is over."""
        ...
