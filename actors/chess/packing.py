"""A game as bytes: one byte of version, then MessagePack.

Version 2 is the fields of `Game` in their order. New fields come last, with a default, and need
no new version; anything else does, and an upcaster from the one before.
"""

from __future__ import annotations

import struct

import msgspec
from msgspec import Struct

from actors.behaviour import UserId
from actors.chess.endings import Termination
from actors.chess.state import (
    Color,
    Game,
    Offer,
    Status,
    Terms,
    append_move,
    plies,
    settle,
    shared,
)

_VERSION = b"\x02"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Game).decode


class UnknownFormat(Exception):  # noqa: N818  (named for what it is, like the contracts' errors)
    """The bytes are of a version that this program doesn't know."""

    def __init__(self, version: int) -> None:
        super().__init__(f"a packed game of version {version}")
        self.version = version


def pack(state: Game) -> bytes:
    """Return the game as compact bytes. Equal games give equal bytes, however they came about."""
    settle(state)
    return _VERSION + _encode(state)


def unpack(data: bytes) -> Game:
    """Return the game of bytes that this or an older version packed.

    Raises:
        UnknownFormat: If a newer one did.
        msgspec.DecodeError: If they're damaged.
    """
    version = data[0] if data else 0
    if version == 2:
        game = _decode(memoryview(data)[1:])
        game.terms = shared(game.terms)
        return game
    if version == 1:
        return _from_v1(_decode_v1(memoryview(data)[1:]))
    raise UnknownFormat(version)


class _GameV1(Struct, array_like=True):
    """Version 1: four bytes a ply (move, then the seq that played it), and no rematches known."""

    terms: Terms
    creator: Color
    created_at: int
    updated_at: int
    white: UserId | None
    black: UserId | None
    invited: UserId | None
    joined: int
    status: Status
    winner: Color | None
    termination: Termination | None
    clock_at: int
    white_ms: int
    black_ms: int
    white_lag: int
    black_lag: int
    plies: bytes
    board: bytes
    offers: tuple[Offer, ...]
    asked: int


_decode_v1 = msgspec.msgpack.Decoder(_GameV1).decode


def _from_v1(old: _GameV1) -> Game:
    game = Game(
        terms=shared(old.terms),
        creator=old.creator,
        created_at=old.created_at,
        updated_at=old.updated_at,
        white=old.white,
        black=old.black,
        invited=old.invited,
        joined=old.joined,
        status=old.status,
        winner=old.winner,
        termination=old.termination,
        clock_at=old.clock_at,
        white_ms=old.white_ms,
        black_ms=old.black_ms,
        white_lag=old.white_lag,
        black_lag=old.black_lag,
        board=old.board,
        offers=old.offers,
        asked=old.asked,
    )
    for code, seq in struct.iter_unpack("<2sH", old.plies):
        append_move(game, code, seq)
    game.placed = plies(game)
    return game
