"""How a repeat of a command is recognised: a game's memory of the keys it has seen.

The memory is one `bytes` object, 12 bytes an entry, the last 16 entries of each seat. It's part of
the game's snapshot, and each entry is also the `key` of its record in the log, so it survives
whatever the game survives.

    entry = seat (1) | hash of user and key (6) | hash of the command (3) | seq (2)
"""

from __future__ import annotations

from hashlib import blake2b

PER_SEAT = 16
_ENTRY = 12
_KEY = slice(1, 7)
_MARK = 10
NOBODY = 255


class KeyReused(Exception):  # noqa: N818  (a fact about the key, not a failure of ours)
    """The key was used before, with another command."""


def mark(seat: int, user: str | None, key: str, command: bytes) -> bytes:
    """Return the 10 bytes that stand for a command under a key.

    A chance collision within one game's memory has a probability of 32 / 2**48.
    """
    named = blake2b(f"{user or ''}\0{key}".encode(), digest_size=6).digest()
    return bytes((seat,)) + named + blake2b(command, digest_size=3).digest()


def find(memory: bytes, mark: bytes) -> int | None:
    """Return the seq of the event that the marked command produced, or None if it's new.

    Raises:
        KeyReused: If the key is known with another command.
    """
    named = mark[_KEY]
    at = memory.find(named)
    while at >= 0:
        if at % _ENTRY == 1:
            if memory[at + 6 : at + 9] != mark[7:_MARK]:
                raise KeyReused
            return int.from_bytes(memory[at + 9 : at + 11], "big")
        at = memory.find(named, at + 1)
    return None


def remember(memory: bytes, mark: bytes, seq: int) -> bytes:
    """Return the memory with one entry more, and that seat's oldest dropped if it had 16."""
    seat = mark[0]
    entries = [i for i in range(0, len(memory), _ENTRY) if memory[i] == seat]
    if len(entries) >= PER_SEAT:
        oldest = entries[0]
        memory = memory[:oldest] + memory[oldest + _ENTRY :]
    return memory + mark + seq.to_bytes(2, "big")
