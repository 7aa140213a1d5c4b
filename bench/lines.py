"""A file of evidence: whole lines, appended while things happen, by several processes at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self


class LineFile:
    """Appends lines. What is flushed survives anything but the machine's own end."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._lines: list[str] = []
        self.add = self._lines.append
        """Takes a line with its end; it's on its way to the file with the next `flush`."""

    def flush(self) -> None:
        """Write what was added, whole lines in one write, so that processes don't mix."""
        if self._lines:
            os.write(self._file, "".join(self._lines).encode())
            self._lines.clear()

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        os.close(self._file)


def whole_lines(path: Path) -> Iterator[list[str]]:
    """Yield the words of every line; a last line without its end is left out."""
    with LineReader(path) as file:
        yield from file.lines()


class LineReader:
    """Reads a file that others still append to. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._cut = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def lines(self) -> Iterator[list[str]]:
        """Yield the words of every whole line that wasn't yielded before."""
        for line in self._file:
            if line.endswith(b"\n"):
                whole, self._cut = self._cut + line, b""
                yield whole.decode("ascii").split()
            else:
                self._cut += line
