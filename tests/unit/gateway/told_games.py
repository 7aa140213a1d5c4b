"""A game of Nim as each tier holds it, for what compares them."""

import msgspec
import nim_game as nim

from gateway.tiers import view_of
from persistence.hot_state import Warm
from runtime.behaviours import Kind
from runtime.cell import Cell, stamp
from runtime.history import pack_events

KINDS = {"nim": Kind(nim)}
KIND = KINDS["nim"]


def events_of(game: str, count: int) -> list[bytes]:
    """The JSON of a game's first `count` events: two players who take one stone at a time."""
    made: list[nim.Event] = [nim.TableCreated(kind="nim", pile=900, player="ann")]
    made.append(nim.Joined(player="bob"))
    made += [
        nim.Taken(player=("ann", "bob")[turn % 2], count=1, left=899 - turn)
        for turn in range(count - 2)
    ]
    for seq, event in enumerate(made, 1):
        stamp(event, game, seq, 1_000_000 + seq)
    return [msgspec.json.encode(event) for event in made[:count]]


def cell_of(game: str, count: int) -> Cell:
    """The game after its first `count` events."""
    cell = Cell(game, KIND)
    for event in events_of(game, count):
        cell.state = KIND.evolve(cell.state, KIND.event_decoder.decode(event))
        cell.seq += 1
    return cell


def state_of(game: str, count: int) -> bytes:
    """That as the snapshot store has it."""
    return cell_of(game, count).pack()


def history_of(game: str, count: int) -> bytes:
    """Its history as the store has it, in one chunk."""
    chunk = pack_events(events_of(game, count))
    return len(chunk).to_bytes(4, "big") + chunk if count else b""


def warm_game(game: str, seq: int, saved: int) -> Warm:
    """The game as the hot state has it, when the store had `saved` events of it."""
    tail = b"".join(event + b"\n" for event in events_of(game, seq)[saved:])
    return Warm(1, seq, saved, False, state_of(game, seq), tail)


def shown(game: str, count: int) -> bytes:
    """What GET /games/{id} answers, with the names that a gateway adds."""
    view = view_of(KIND, cell_of(game, count).state)
    for seat in ("first", "second"):
        if view[seat] is not None:
            view[seat]["name"] = "A name"
    return msgspec.json.encode({"id": game, "kind": "nim", "seq": count, "now": "…", **view})
