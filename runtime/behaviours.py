"""The games that are installed, found by their entry points and made ready for the move path."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import cast

import msgspec

from actors.behaviour import Behaviour, event_decoder

GROUP = "gameshard.behaviours"


class Kind:
    """A behaviour with its codecs and functions at hand."""

    __slots__ = (
        "behaviour",
        "commands",
        "decide",
        "effects",
        "event_decoder",
        "evolve",
        "name",
        "next_deadline",
        "outline",
        "pack",
        "unpack",
    )

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.name = behaviour.kind
        self.commands = {
            name: (msgspec.json.Decoder(command), command.wants_presence)
            for name, command in behaviour.commands.items()
        }
        self.event_decoder = event_decoder(behaviour)
        self.decide = behaviour.decide
        self.evolve = behaviour.evolve
        self.next_deadline = behaviour.next_deadline
        self.outline = behaviour.outline
        self.effects = behaviour.effects
        self.pack = behaviour.pack
        self.unpack = behaviour.unpack


def load() -> dict[str, Behaviour]:
    """Return every installed behaviour by the name of its kind.

    Raises:
        ValueError: If two packages bring the same kind, or one lacks its "create" command.
    """
    found: dict[str, Behaviour] = {}
    for point in entry_points(group=GROUP):
        behaviour = cast("Behaviour", point.load())
        if behaviour.kind in found:
            raise ValueError(f"two packages bring the behaviour {behaviour.kind!r}")
        if "create" not in behaviour.commands:
            raise ValueError(f"the behaviour {behaviour.kind!r} has no command 'create'")
        found[behaviour.kind] = behaviour
    return found
