"""Places that requests hold for a while: so many in all, and of these so many for one caller."""

from __future__ import annotations

from collections import Counter


class Shares:
    """A bounded number of places, shared by callers."""

    def __init__(self, most: int, each: int) -> None:
        """Give out `most` places, `each` of them to one caller."""
        self._most = most
        self._each = each
        self._held: Counter[str] = Counter()
        self.taken = 0

    def take(self, who: str) -> bool:
        """Take a place for `who`; False if there's none, or they have their share."""
        if self.taken >= self._most or self._held[who] >= self._each:
            return False
        self.taken += 1
        self._held[who] += 1
        return True

    def give(self, who: str) -> None:
        """Give a place back."""
        self.taken -= 1
        self._held[who] -= 1
        if not self._held[who]:
            del self._held[who]
