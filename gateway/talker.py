"""Who a socket talks to."""

from __future__ import annotations

from typing import Protocol


class Talker(Protocol):
    """Who stands behind a socket."""

    @property
    def busy(self) -> bool:
        """Whether no more text is wanted now; `GameSocket.pump` is called when it is again."""
        ...

    def on_text(self, payload: bytes) -> None:
        """Take a message: valid UTF-8."""
        ...

    def on_beat(self) -> None:
        """Take a visit, once a heartbeat."""
        ...

    def on_lost(self) -> None:
        """The connection is gone."""
        ...


class _Nobody:
    """Who stands behind a socket that's gone."""

    busy = False

    def on_text(self, payload: bytes) -> None:
        """See `Talker`."""

    def on_beat(self) -> None:
        """See `Talker`."""

    def on_lost(self) -> None:
        """See `Talker`."""


NOBODY = _Nobody()
