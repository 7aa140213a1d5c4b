"""Places in a row: one socket that many tables share, as `/ws` is meant for."""

from __future__ import annotations

from bench.ledger import Ledger
from bench.seat import Frame, Seat, Sitter
from bench.users import User


class Row:
    """One socket with a place at each of many tables. It's the `bench.seat.Sitter` of its seat.

    Args:
        seat: The socket.
        number: The socket's own number, by which the ledger knows it.
        ledger: Where everything that it's told is noted; None: nowhere.
    """

    def __init__(self, seat: Seat, number: int, ledger: Ledger | None) -> None:
        self.seat = seat
        self.number = number
        self._ledger = ledger
        self._places: list[Place] = []
        self._by_game: dict[str, Place] = {}
        seat.sitter = self

    def place(self, number: int) -> Place:
        """Return a new place, of the colour `number` (0 White, 1 Black)."""
        place = Place(self, number)
        self._places.append(place)
        return place

    def attend(self, place: Place, game: str) -> None:
        """Give `place` what comes for `game`, and no more what came for its game before."""
        self._by_game.pop(place.game, None)
        place.game = game
        self._by_game[game] = place

    def on_frame(self, number: int, frame: Frame) -> None:  # noqa: ARG002 -- a place has its own
        """See `Sitter`."""
        if self._ledger is not None:
            self._ledger.told(self.number, frame)
        place = self._by_game.get(frame.game)
        if place is not None and place.sitter is not None:
            place.sitter.on_frame(place.number, frame)

    def on_lost(self, number: int) -> None:  # noqa: ARG002
        """See `Sitter`."""
        if self._ledger is not None:
            self._ledger.lost(self.number)
        for place in self._places:
            if place.sitter is not None:
                place.sitter.on_lost(place.number)

    def on_back(self, number: int) -> None:  # noqa: ARG002
        """See `Sitter`."""
        if self._ledger is not None:
            self._ledger.back(self.number)
        for place in self._places:
            if place.sitter is not None:
                place.sitter.on_back(place.number)


class Place:
    """One player's place at one table: a `bench.seat.Chair` whose socket is the row's."""

    def __init__(self, row: Row, number: int) -> None:
        self.sitter: Sitter | None = None
        self.row = row
        self.number = number
        self.game = ""

    @property
    def user(self) -> User:
        """Who sits here."""
        return self.row.seat.user

    @property
    def connected(self) -> bool:
        """Whether there's a socket just now."""
        return self.row.seat.connected

    def send(self, text: str) -> None:
        """Send a frame, if the socket is there."""
        self.row.seat.send(text)
