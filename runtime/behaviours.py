"""The games that are installed, found by their entry points and made ready for the move path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import entry_points
from typing import Any, cast

import msgspec
from msgspec import Struct

from actors.behaviour import Behaviour, Configurable, Versioned, event_decoder
from runtime.formats import versions

GROUP = "gameshard.behaviours"


class Kind:
    """A behaviour with its codecs and functions at hand."""

    __slots__ = (
        "agreed",
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
        "version",
        "versions",
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
        self.pack: Callable[[Any], bytes] = behaviour.pack
        self.unpack = behaviour.unpack
        self.versions = versions(behaviour)
        self.version = self.versions[-1]
        """The version that is written here."""
        self.agreed: int | None = None
        """The newest one that all members read, as far as we heard; 0: not all know the kind."""

    def agree(self, version: int) -> None:
        """Hear what all members read: it's written from now on, as far as we can write it."""
        if self.agreed is not None and version <= self.agreed:
            return  # old news: it only rises
        self.agreed = version
        self.version = min(max(version, self.versions[0]), self.versions[-1])
        if isinstance(self.behaviour, Versioned):
            self.pack = partial(self.behaviour.pack, version=self.version)


def load(settings: Mapping[str, Struct] | None = None) -> dict[str, Behaviour]:
    """Return every installed behaviour by the name of its kind.

    Args:
        settings: What was set about some kinds, of the types in `settable`.

    Raises:
        ValueError: If two packages bring the same kind, or one lacks its "create" command, or has
            impossible versions.
    """
    found: dict[str, Behaviour] = {}
    for point in entry_points(group=GROUP):
        behaviour = cast("Behaviour", point.load())
        if behaviour.kind in found:
            raise ValueError(f"two packages bring the behaviour {behaviour.kind!r}")
        if "create" not in behaviour.commands:
            raise ValueError(f"the behaviour {behaviour.kind!r} has no command 'create'")
        versions(behaviour)
        chosen = (settings or {}).get(behaviour.kind)
        if chosen is not None and isinstance(behaviour, Configurable):
            behaviour = behaviour.configured(chosen)
        found[behaviour.kind] = behaviour
    return found


def settable() -> dict[str, type[Struct]]:
    """Return what an operator may set about each kind that leaves something to them."""
    return {
        kind: behaviour.settings
        for kind, behaviour in load().items()
        if isinstance(behaviour, Configurable)
    }
