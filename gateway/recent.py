"""A memory of bounded size that forgets what was asked for least recently, or is too old."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

V = TypeVar("V")


class Recent(Generic[V]):
    """Text -> value, each with the moment until which it's good (seconds, any one clock)."""

    __slots__ = ("_entries", "_most")

    def __init__(self, most: int) -> None:
        """Remember `most` entries."""
        self._most = most
        self._entries: OrderedDict[str, tuple[float, V]] = OrderedDict()

    def get(self, key: str, now: float) -> V | None:
        """Return what is remembered, if it's still good."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= now:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry[1]

    def put(self, key: str, value: V, until: float) -> None:
        """Remember `value` until the moment `until`."""
        self._entries[key] = (until, value)
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def __len__(self) -> int:
        return len(self._entries)
