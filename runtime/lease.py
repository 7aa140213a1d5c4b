"""Until when a shard may speak for its games without having been told that they're still its own.

A lease guards reads only: whether an append counts is the log's word, whatever any clock says. A
shard that was paused, or cut off from everybody, finds its lease over before it answers anything,
and sends whoever asks to look for the owner.
"""

from __future__ import annotations


class Lease:
    """One shard's lease, in seconds of its own monotonic clock."""

    __slots__ = ("_length", "until")

    def __init__(self, length: float) -> None:
        """Make each renewal last `length` seconds."""
        self._length = length
        self.until = 0.0

    def renew(self, asked_at: float) -> None:
        """Somebody who must know says that all is still ours; we had asked at `asked_at`."""
        self.until = max(self.until, asked_at + self._length)
