"""Display names: clean ones come in with tokens, and are put beside the ids that games tell of."""

from __future__ import annotations

import asyncio
import logging
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from gateway.recent import Recent
from persistence.log import LogError

_log = logging.getLogger(__name__)

LONGEST = 32
_FRESH_S = 300.0
"""An erased name is gone from every gateway after so long."""
_NAMELESS_S = 5.0
_MOST = 100_000
_WAITING = 20_000
_PATIENCE_S = 1.0


class Names(Protocol):
    """Where names are kept. Both may raise `persistence.log.Unavailable`."""

    async def save(self, names: Mapping[str, str]) -> None:
        """Set the names of users, by id."""
        ...

    async def load(self, players: Sequence[str]) -> dict[str, str]:
        """Return the names of those `players` that have one."""
        ...


def clean_name(text: str) -> str:
    """Return `text` as a name: normalised, on one line, without what can't be seen.

    Raises:
        ValueError: If nothing is left, or more than 32 characters.
    """
    seen = "".join(
        " " if c.isspace() else c
        for c in unicodedata.normalize("NFC", text)
        if c.isspace() or not unicodedata.category(c).startswith("C")
    )
    name = " ".join(seen.split())
    if not 1 <= len(name) <= LONGEST:
        raise ValueError(f"A name has 1 to {LONGEST} visible characters.")
    return name


def people(view: Any) -> Iterator[dict[str, Any]]:
    """Yield every player in a view: each {"id": USER} that has nothing else in it."""
    if type(view) is dict:
        if len(view) == 1 and type(view.get("id")) is str:
            yield view
        for value in view.values():
            if type(value) is dict or type(value) is list:
                yield from people(value)
    elif type(view) is list and view and type(view[0]) is dict:
        for value in view:
            yield from people(value)


class NameBook:
    """The names that this gateway knows, in front of the store of all names."""

    def __init__(self, names: Names) -> None:
        """Read and write `names`."""
        self._names = names
        self._known: Recent[str] = Recent(_MOST)
        """User -> name; empty if the store has none."""
        self._waiting: dict[str, str] = {}
        self._saving: asyncio.Task[None] | None = None

    def remember(self, user: str, name: str) -> None:
        """Take a name from a token that was just verified; it's saved soon, with others.

        A name that gets lost before it's saved comes again with the token, which carries it.
        """
        if self._known.get(user, time.monotonic()) == name:
            return
        self._known.put(user, name, time.monotonic() + _FRESH_S)
        if len(self._waiting) >= _WAITING:
            self._waiting.pop(next(iter(self._waiting)))
        self._waiting[user] = name
        if self._saving is None:
            self._saving = asyncio.get_running_loop().create_task(self._save())

    async def _save(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, {}
                await self._names.save(batch)
        except LogError as error:
            _log.warning("names aren't saved: %s", error)
        finally:
            self._saving = None

    def fill(self, found: Sequence[dict[str, Any]]) -> list[str]:
        """Put the known names in; return the ids of those whose name must be loaded."""
        now, missing = time.monotonic(), list[str]()
        for player in found:
            user = player["id"]
            name = self._known.get(user, now)
            player["name"] = name or None
            if name is None:
                missing.append(user)
        return missing

    async def load(self, found: Sequence[dict[str, Any]], missing: Sequence[str]) -> None:
        """Load the missing names and put them in; whoever has none stays without."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                loaded = await self._names.load(missing)
        except (LogError, TimeoutError) as error:
            _log.debug("no names: %s", error)
            return
        now = time.monotonic()
        for user in missing:
            name = loaded.get(user, "")
            self._known.put(user, name, now + (_FRESH_S if name else _NAMELESS_S))
        for player in found:
            player["name"] = loaded.get(player["id"], player["name"])

    async def close(self) -> None:
        """Wait for what is being saved."""
        if self._saving is not None:
            await asyncio.gather(self._saving, return_exceptions=True)
