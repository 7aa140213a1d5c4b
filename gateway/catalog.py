"""What the installed games offer, as a gateway needs it: names, paths, codecs, statuses.

Nothing else in the gateway asks what a game is called or can do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from actors.behaviour import Behaviour, Command, Event, Query, event_decoder
from gateway.problems import statuses

BUILT_IN = ("subscribe", "unsubscribe", "resume", "ping")
"""Frames of the WebSocket that no game may give another meaning."""
_TAKEN = ("events",)


class Kind:
    """One game with its codecs."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.name = behaviour.kind
        self.decode_event = event_decoder(behaviour).decode
        self.queries = {
            name: (query, msgspec.json.Decoder(query).decode)
            for name, query in behaviour.queries.items()
        }
        create = behaviour.commands["create"]
        self.names_itself = "kind" in create.__struct_fields__
        """Whether the command that creates a game has the field that says which game it is."""


class Catalog:
    """All games that are installed, merged into one set of names."""

    def __init__(self, behaviours: Mapping[str, Behaviour], default_kind: str) -> None:
        """Merge `behaviours`.

        Raises:
            ValueError: If there's none, or two of them give one name two meanings.
        """
        if not behaviours:
            raise ValueError("no game is installed (entry points of group gameshard.behaviours)")
        self.kinds = {name: Kind(behaviour) for name, behaviour in behaviours.items()}
        self.default_kind = default_kind if default_kind in self.kinds else min(self.kinds)
        self.statuses = statuses(behaviours.values())
        self.actions: dict[str, str] = {}
        """Last segment of POST /games/{id}/... -> public name of the command."""
        self.queries: set[str] = set()
        """Last segments of POST /games/{id}/... that ask and change nothing."""
        self.answers_game: set[str] = set()
        """Commands that HTTP answers with the game instead of the event."""
        self.exports: dict[str, str] = {}
        """Ending -> media type."""
        for kind in self.kinds.values():
            if kind.behaviour.answers.keys() != kind.behaviour.queries.keys():
                raise ValueError(f"{kind.name} doesn't say what each of its queries answers")
            self._merge(kind.behaviour)
        self.turning = tuple(
            _beginning(event)
            for kind in self.kinds.values()
            for event in kind.behaviour.events
            if event.turns
        )
        """How the JSON begins of events after which somebody else thinks."""
        self.frames = frozenset(self.actions.values())
        """Commands that may come as a WebSocket frame."""

    def _merge(self, behaviour: Behaviour) -> None:
        for name, command in behaviour.commands.items():
            if name == "create":
                continue
            segment = behaviour.paths.get(name, name)
            known = self.actions.setdefault(segment, name)
            if known != name or name in BUILT_IN or segment in (*_TAKEN, *self.queries):
                raise ValueError(f"{behaviour.kind}'s command {name!r} has a name that is taken")
            if command.answers_game:
                self.answers_game.add(name)
        for name in behaviour.queries:
            if name == "state":
                continue
            if name in self.actions or name in _TAKEN:
                raise ValueError(f"{behaviour.kind}'s query {name!r} has a name that is taken")
            self.queries.add(name)
        for ending, media in behaviour.exports.items():
            if self.exports.setdefault(ending, media) != media:
                raise ValueError(f"{behaviour.kind}'s export {ending!r} has a name that is taken")

    def commands(self) -> Iterator[tuple[Kind, str, str, type[Command]]]:
        """Yield (kind, public name, path segment, type) of all commands but "create"."""
        for kind in self.kinds.values():
            for name, command in kind.behaviour.commands.items():
                if name != "create":
                    yield kind, name, kind.behaviour.paths.get(name, name), command

    def asked(self) -> Iterator[tuple[Kind, str, type[Query]]]:
        """Yield (kind, public name, type) of all queries."""
        for kind in self.kinds.values():
            for name, query in kind.behaviour.queries.items():
                yield kind, name, query

    def creation(self, body: bytes) -> tuple[str, bytes]:
        """Return the kind of game that the body of POST /games wants, and its command's JSON.

        Raises:
            msgspec.DecodeError: If the body isn't a JSON object, or its kind isn't text.
        """
        kind = (_peek(body).kind if body else None) or self.default_kind
        found = self.kinds.get(kind)
        if found is None or found.names_itself:
            return kind, body or b"{}"
        fields: dict[str, Any] = _raw(body) if body else {}
        fields.pop("kind", None)
        return kind, msgspec.json.encode(fields)


def _beginning(event: type[Event]) -> bytes:
    config = event.__struct_config__
    return b'{"%b":%b' % (str(config.tag_field).encode(), msgspec.json.encode(config.tag))


class _Peek(msgspec.Struct):
    kind: str | None = None


_peek = msgspec.json.Decoder(_Peek).decode
_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
