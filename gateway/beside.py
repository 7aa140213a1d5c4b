"""A server of our own beside `gameshard run`: started with it, and again if it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from persistence.local.server import ServiceError


class Local(Protocol):
    """A server that runs as a child process."""

    @property
    def running(self) -> bool:
        """Whether it's there."""
        ...

    @property
    def pid(self) -> int | None:
        """Its process, or one of them."""
        ...

    def stop(self) -> None:
        """End it, and wait for the end."""
        ...


class Beside:
    """Keeps one, unless the operator has one already.

    Args:
        name: How people call it.
        own: What is kept; None: the operator's own is used, and nothing is done here.
        again: Starts it where clients know it; may raise `ServiceError` or `OSError`.
        say: Tells whoever looks at the terminal.
    """

    def __init__(
        self,
        name: str,
        own: Local | None,
        again: Callable[[], object],
        say: Callable[[str], None],
    ) -> None:
        self._name = name
        self._server = own
        self._again = again
        self._say = say
        self._trouble = ""

    @property
    def ours(self) -> bool:
        """Whether the server is started here."""
        return self._server is not None

    @property
    def pid(self) -> int | None:
        """Of our own server; None if there's none."""
        return self._server.pid if self._server is not None else None

    def tend(self) -> bool:
        """Start our own server again if it ended; return whether it's a new process."""
        if self._server is None or self._server.running:
            return False
        if not self._trouble:
            self._say(f"{self._name} again, which had ended")
        try:
            self._again()
        except (ServiceError, OSError) as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._say(f"{self._name} later: {error}")
            return False
        self._trouble = ""
        return True

    def stop(self) -> None:
        """End our own server."""
        if self._server is not None:
            self._say(f"stopping {self._name}")
            self._server.stop()
