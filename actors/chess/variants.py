"""The variants that are played, and what of each differs from standard chess.

Their names are Lichess's keys; their rules are python-chess's.
"""

from __future__ import annotations

from typing import Literal

import chess
import chess.variant
from msgspec import Struct

VariantName = Literal[
    "standard",
    "chess960",
    "crazyhouse",
    "antichess",
    "atomic",
    "horde",
    "kingOfTheHill",
    "racingKings",
    "threeCheck",
    "fromPosition",
]


class Variant(Struct, frozen=True):
    """One variant.

    Attributes:
        name: Its key on the wire.
        title: What PGN calls it (as Lichess writes it and python-chess reads it).
        board: The rules.
        chess960: King takes rook is how castling is written, and kings and rooks start anywhere.
        orthodox: Endings are those of standard chess, so that `is_variant_*` needn't be asked.
        royal: A king may be in check, and a piece pinned to it.
        quiet_pawns: A pawn that isn't pinned may always step ahead, which makes "has a move" cheap.
        pockets: Captured pieces come back, so captures and pawn moves can be undone (crazyhouse).
        checks: Checks are counted (three-check).
    """

    name: VariantName
    title: str
    board: type[chess.Board]
    chess960: bool = False
    orthodox: bool = False
    royal: bool = True
    quiet_pawns: bool = True
    pockets: bool = False
    checks: bool = False


VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant("standard", "Standard", chess.Board, orthodox=True),
        Variant("chess960", "Chess960", chess.Board, chess960=True, orthodox=True),
        Variant("crazyhouse", "Crazyhouse", chess.variant.CrazyhouseBoard, pockets=True),
        Variant("antichess", "Antichess", chess.variant.AntichessBoard, royal=False),
        Variant("atomic", "Atomic", chess.variant.AtomicBoard),
        Variant("horde", "Horde", chess.variant.HordeBoard),
        Variant("kingOfTheHill", "King of the Hill", chess.variant.KingOfTheHillBoard),
        Variant("racingKings", "Racing Kings", chess.variant.RacingKingsBoard, quiet_pawns=False),
        Variant("threeCheck", "Three-check", chess.variant.ThreeCheckBoard, checks=True),
        Variant("fromPosition", "From Position", chess.Board, orthodox=True),
    )
}
