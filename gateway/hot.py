"""Redis beside `gameshard run`: the operator's own, or a Valkey that is started here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from persistence.local.server import ServiceError
from persistence.local.valkey import LocalValkey


class HotServer:
    """Where the hot state is. Nothing depends on it: without it a take-over reads more."""

    def __init__(self, folder: Path, url: str, say: Callable[[str], None]) -> None:
        """Use the server at `url`; if that's empty, keep one of our own in `folder`."""
        self._say = say
        self._url = url
        self._own = None if url else LocalValkey(folder)
        self._trouble = ""

    @property
    def ours(self) -> bool:
        """Whether the server is started here."""
        return self._own is not None

    def start(self) -> str:
        """Return the server's URL, once it's there.

        Raises:
            ServiceError: If our own can't start.
        """
        if self._own is None:
            return self._url
        self._own.start()
        return self._own.url

    @property
    def pid(self) -> int | None:
        """Of our own server; None if there's none."""
        return self._own.pid if self._own is not None else None

    def tend(self) -> bool:
        """Start our own server again if it ended; return whether it's a new process."""
        if self._own is None or self._own.running:
            return False
        if not self._trouble:
            self._say("Valkey again, which had ended")
        try:
            self._own.start()
        except (ServiceError, OSError) as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._say(f"Valkey later: {error}")
            return False
        self._trouble = ""
        return True

    def stop(self) -> None:
        """End our own server."""
        if self._own is not None:
            self._say("stopping Valkey")
            self._own.stop()
