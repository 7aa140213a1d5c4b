"""Which version of each kind's format may be written: it's here before anybody writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from persistence.log import LogError


class Outdated(LogError):  # noqa: N818  (the store's word for it)
    """A coordinator of a later term has begun: only that one decides now."""


class FormatStore(Protocol):
    """Every method may raise `persistence.log.Unavailable`."""

    async def read(self) -> Mapping[str, int]:
        """Return the version of every kind."""
        ...

    async def rise(self, term: int, formats: Mapping[str, int]) -> None:
        """Let every kind's version be at least as high as in `formats`; none ever falls.

        After `Unavailable` it may have happened, or happen yet.

        Raises:
            Outdated: If `term` isn't the newest one; nothing happened.
        """
        ...
