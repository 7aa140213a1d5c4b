"""A service that can't start while a file stands in its way."""

import os
from pathlib import Path


class LateService:
    """Its config is a folder: `in-the-way` keeps it from starting, `tries` has a line a try."""

    def __init__(self, name: str, peers: object, config: str) -> None:
        del name, peers
        self._folder = Path(config)

    async def start(self) -> None:
        with (self._folder / "tries").open("a") as tries:
            tries.write("one\n")
        if (self._folder / "in-the-way").exists():
            raise ValueError("something is in the way")

    def pid(self) -> int:
        return os.getpid()

    async def stop(self) -> None:
        pass
