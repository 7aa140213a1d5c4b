"""Redis beside `gameshard run`: the operator's own, or a Valkey that is started here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gateway.beside import Beside
from persistence.local.valkey import LocalValkey


class HotServer(Beside):
    """Where the hot state is. Nothing depends on it: without it a take-over reads more."""

    def __init__(self, folder: Path, url: str, say: Callable[[str], None]) -> None:
        """Use the server at `url`; if that's empty, keep one of our own in `folder`."""
        self._url = url
        self._own = own = None if url else LocalValkey(folder)
        super().__init__("Valkey", own, lambda: own and own.start(), say)

    def start(self) -> str:
        """Return the server's URL, once it's there.

        Raises:
            ServiceError: If our own can't start.
        """
        if self._own is None:
            return self._url
        self._own.start()
        return self._own.url
