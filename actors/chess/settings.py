"""What an operator may set about chess. It holds for games that are created from then on."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class ChessSettings(Struct, frozen=True, kw_only=True):
    """Every field can be set in the environment as GAMESHARD_CHESS_<FIELD>."""

    first_move: Annotated[int, Meta(ge=1, le=86_400)] = 30
    """A game with a Fischer clock waits so many seconds for each side's first move; then it's
    aborted."""
