"""What is kept of a game that ended, made from its events, whatever kind it is."""

import json
from pathlib import Path

import msgspec
import nim_game
import pytest

import actors.chess as chess
from actors.behaviour import event_decoder, instant, millis
from actors.chess.events import MovePlayed, PlayerJoined, TakenBack
from runtime.archiving import Archiving, Unknown, archived
from runtime.behaviours import Kind, load

HISTORIES = Path(__file__).parents[1] / "actors" / "data" / "complete_v1.jsonl"
GAMES = {
    told["name"]: [msgspec.json.encode(event) for event in told["events"]]
    for told in map(json.loads, HISTORIES.read_text().splitlines())
}
KINDS = {name: Kind(behaviour) for name, behaviour in load().items()}


def to_the_end(history):
    """Leave out what came after the game's end."""
    (end,) = [at for at, event in enumerate(history, 1) if b'"type":"GameEnded"' in event]
    return history[:end]


@pytest.mark.parametrize("name", GAMES)
def test_a_recorded_game_is_kept_as_its_history_tells_it(name):
    """Players, result, moves and PGN are those of the events; ids stand for names."""
    history = to_the_end(GAMES[name])
    kept = archived(KINDS, history)
    events = [event_decoder(chess).decode(event) for event in history]
    created, ended = events[0], events[-1]
    joined = {e.color: e.user for e in events if isinstance(e, PlayerJoined)}
    assert (kept.game, kept.kind, kept.seq) == (created.game, "chess", len(history))
    assert kept.ended_at == millis(ended.at)
    assert kept.players == {"white": created.white, "black": created.black} | joined
    assert kept.result == {"winner": ended.winner, "termination": ended.termination}
    assert kept.exports == {"pgn": chess.export("pgn", events)}
    played = []
    for event in events:
        match event:
            case MovePlayed():
                played.append(event)
            case TakenBack(ply=ply):
                del played[ply:]
    assert kept.moves == len(played)


def nim():
    facts = [
        nim_game.TableCreated(kind="nim", pile=2, player="ann"),
        nim_game.Joined(player="bob"),
        nim_game.Taken(player="ann", count=2, left=0),
        nim_game.Won(player="ann"),
    ]
    for seq, fact in enumerate(facts, 1):
        fact.game, fact.seq, fact.at = "table-1", seq, instant(1000 * seq)
    return [msgspec.json.encode(fact) for fact in facts]


def test_a_game_from_another_package_is_kept_as_well():
    """Nothing here knows chess: the seats, the result and the exports are the game's own."""
    kept = archived(KINDS, nim())
    assert (kept.kind, kept.seq, kept.ended_at, kept.moves) == ("nim", 4, 4000, 1)
    assert kept.players == {"first": "ann", "second": "bob"}
    assert (kept.result, kept.exports) == ({"player": "ann"}, {})


def test_a_game_that_is_not_installed_is_named():
    """Whoever mends it learns which."""
    with pytest.raises(Unknown, match="'nim'"):
        archived({"chess": KINDS["chess"]}, nim())


def test_what_ends_a_game_is_wanted_and_nothing_else():
    """By what each installed game says of its events."""
    assert Archiving(load(), None).wanted == {b"gameshard.GameEnded.v1", b"gameshard.Won.v1"}
