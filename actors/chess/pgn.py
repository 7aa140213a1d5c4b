"""A game's history as PGN, with clock times, as other programs read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import chess.pgn

from actors.behaviour import Event, UserId
from actors.chess.clock import allotted
from actors.chess.commands import ClockTerms
from actors.chess.endings import Termination
from actors.chess.events import GameCreated, GameEnded, MovePlayed, PlayerJoined, TakenBack
from actors.chess.moves import MOVES
from actors.chess.position import new_board
from actors.chess.state import Color, Terms
from actors.chess.variants import VARIANTS

_RESULTS: dict[Color | None, str] = {"white": "1-0", "black": "0-1", None: "1/2-1/2"}
_TERMINATIONS: dict[Termination, str] = {
    "timeout": "Time forfeit",
    "abandoned": "Abandoned",
    "aborted": "Unterminated",
}


def pgn(events: Sequence[Event], names: Mapping[UserId, str]) -> str:
    """Return the game of `events` (all of them, from seq 1) as PGN.

    Players stand by their `names`, or by their ids if they have none.
    """
    created = events[0]
    assert isinstance(created, GameCreated)
    game = chess.pgn.Game()
    game.setup(new_board(created.variant, created.initial_fen))
    headers = game.headers
    headers["Event"] = f"{'Rated' if created.rated else 'Casual'} {created.variant} game"
    headers["Site"] = created.game or "?"
    headers["Date"] = headers["UTCDate"] = created.at.strftime("%Y.%m.%d")
    headers["UTCTime"] = created.at.strftime("%H:%M:%S")
    seats: dict[Color, UserId | None] = {"white": created.white, "black": created.black}
    seats.update((event.color, event.user) for event in events if isinstance(event, PlayerJoined))
    headers["White"], headers["Black"] = (_player(seats[color], names) for color in seats)
    headers["TimeControl"] = _time_control(created.clock)
    headers["Termination"] = "Unterminated"
    if created.variant != "standard":
        headers["Variant"] = VARIANTS[created.variant].title
    _follow(game, created, events)
    exporter = chess.pgn.StringExporter(columns=None)
    return f"{game.accept(exporter)}\n"


def _follow(game: chess.pgn.Game, created: GameCreated, events: Sequence[Event]) -> None:
    """Add moves and the result."""
    headers = game.headers
    moves: list[MovePlayed] = []
    for event in events:
        match event:
            case MovePlayed():
                moves.append(event)
            case TakenBack():
                del moves[event.ply :]
            case GameEnded():
                ended = event.termination
                headers["Termination"] = _TERMINATIONS.get(ended, "Normal")
                headers["Result"] = "*" if ended == "aborted" else _RESULTS[event.winner]
            case _:
                pass
    node: chess.pgn.GameNode = game
    fischer = created.clock is not None and created.clock.days is None
    for move in moves:
        node = node.add_variation(MOVES[move.uci])
        left = move.white_ms if move.by == "white" else move.black_ms
        if fischer and left is not None:
            node.set_clock(left / 1000)


def _player(user: UserId | None, names: Mapping[UserId, str]) -> str:
    """Return a name as the PGN standard has strings (7): python-chess writes them as they are."""
    if user is None:
        return "?"
    return names.get(user, user).replace("\\", r"\\").replace('"', r"\"")


def _time_control(clock: ClockTerms | None) -> str:
    """Return the PGN standard's TimeControl (9.6.1); days as moves/seconds."""
    if clock is None:
        return "-"
    if clock.days is not None:
        return f"1/{clock.days * 86_400}"
    initial, increment = clock.initial or 0, clock.increment or 0
    start = allotted(Terms("standard", None, initial, increment, 0, False, False)) // 1000
    return f"{start}+{increment}"
