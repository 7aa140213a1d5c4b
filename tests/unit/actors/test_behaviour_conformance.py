"""Every installed game keeps the protocol that the runtime relies on."""

from __future__ import annotations

from random import Random
from typing import Any

import jsonschema
import msgspec
import pytest
from behaviour_play import Play
from behaviour_scripts import SCRIPTS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.behaviour import Behaviour, event_decoder
from gateway.names import people
from runtime.behaviours import load

STATUSES = {"open", "started", "ended"}
BEHAVIOURS = [pytest.param(found, id=kind) for kind, found in sorted(load().items())]
every_behaviour = pytest.mark.parametrize("behaviour", BEHAVIOURS)
played = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)
NAMES = {"ann": 'Ann "the \\ cut"'}
seeds = st.integers(0, 2**32)


def test_every_installed_game_has_a_script() -> None:
    """A game that is installed is also played here, and both games of this repository are."""
    assert {"chess", "nim"} <= set(load()) <= set(SCRIPTS)


@every_behaviour
def test_words_are_published_once(behaviour: Behaviour) -> None:
    """A command's tag is its public name, and no two events share a tag."""
    for name, command in behaviour.commands.items():
        assert command.__struct_config__.tag == name
    tags = [event.__struct_config__.tag for event in behaviour.events]
    assert len(tags) == len(set(tags))
    assert set(behaviour.paths) <= set(behaviour.commands)
    assert "state" in behaviour.queries
    assert all(400 <= status < 500 for status in behaviour.rejections.values())


@every_behaviour
def test_commands_refuse_unknown_fields(behaviour: Behaviour) -> None:
    """A misspelt field is an error, not something that is silently left out."""
    for name, command in behaviour.commands.items():
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"type": name, "no_such_field": 1}, command)


def strict(node: Any) -> Any:
    """Return a schema that takes nothing beyond what it names."""
    if isinstance(node, list):
        return [strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {k: strict(v) for k, v in node.items()}
    return node | {"additionalProperties": False} if "properties" in node else node


@every_behaviour
@played
@given(seed=seeds)
def test_answers_have_their_published_shape(behaviour: Behaviour, seed: int) -> None:
    """Whatever has happened, every query's answer is of its type, and has nothing beside."""
    play = Play(behaviour, Random(seed)).run(20)
    for name, query in behaviour.queries.items():
        schema = strict(msgspec.json.schema(behaviour.answers[name]))
        asked = msgspec.convert(play.script.queries.get(name, {}), query)
        answer = msgspec.to_builtins(behaviour.view(play.live, asked, None))
        for player in people(answer):
            player["name"] = None  # the gateway's part
        jsonschema.validate(answer, schema)


@every_behaviour
@played
@given(seed=seeds)
def test_what_the_log_tells_is_the_whole_truth(behaviour: Behaviour, seed: int) -> None:
    """The state from the written events, and one that rested in bytes, look as the live one."""
    play = Play(behaviour, Random(seed)).run(40)
    looks = play.looks(play.live)
    assert play.looks(play.told) == looks
    assert play.looks(play.rested) == looks
    assert play.looks(behaviour.unpack(behaviour.pack(play.live))) == looks
    assert play.looks(play.live) == looks, "looking changed the state"


@every_behaviour
@played
@given(seed=seeds)
def test_any_part_of_the_history_can_be_taken_up(behaviour: Behaviour, seed: int) -> None:
    """A snapshot at any event and the events after it give the state, as a take-over relies on."""
    play = Play(behaviour, Random(seed)).run(25)
    decoder = event_decoder(behaviour)
    cut = play.rng.randint(1, len(play.records))
    state = None
    for seq, record in enumerate(play.records, 1):
        state = behaviour.evolve(state, decoder.decode(record))
        if seq == cut:
            state = behaviour.unpack(behaviour.pack(state))
    assert play.looks(state) == play.looks(play.live)


@every_behaviour
@played
@given(seed=seeds)
def test_history_says_what_it_is(behaviour: Behaviour, seed: int) -> None:
    """The first event names the kind; outlines and exports are well formed at the end of any play."""
    play = Play(behaviour, Random(seed)).run(25)
    assert msgspec.json.decode(play.records[0])["kind"] == behaviour.kind
    outline = behaviour.outline(play.live)
    names = [name for name, _ in outline.seats]
    assert outline.status in STATUSES
    assert len(names) == len(set(names))
    assert outline.moves >= 0
    history = [event_decoder(behaviour).decode(record) for record in play.records]
    for ending in behaviour.exports:
        told = behaviour.export(ending, history, NAMES)
        assert told
        assert told == behaviour.export(ending, play.events, NAMES)


@every_behaviour
@played
@given(seed=seeds)
def test_effects_are_commands_that_their_game_takes(behaviour: Behaviour, seed: int) -> None:
    """What an event sends elsewhere decodes as a command of the game that it's sent to."""
    play = Play(behaviour, Random(seed)).run(40)
    kinds = load()
    for effect in (effect for event in play.events for effect in behaviour.effects(event)):
        command = kinds[effect.kind].commands[effect.command]
        assert msgspec.json.decode(effect.body, type=command)


@every_behaviour
def test_play_reaches_what_it_should(behaviour: Behaviour) -> None:
    """The scripts that the other tests rely on end games, are refused, repeat and cover events."""
    plays = [Play(behaviour, Random(seed)).run(60) for seed in range(120)]
    seen = {type(event) for play in plays for event in play.events}
    assert seen == set(behaviour.events)
    assert any(play.behaviour.outline(play.live).status == "ended" for play in plays)
    assert any(play.repeats for play in plays)
    assert len({code for play in plays for code in play.refusals}) >= 4
