"""How a repeat of a command is recognised: a game's memory of the keys it has seen.

The memory is one `bytes` object, 11 bytes an entry, the last 16 entries of each seat. It's part of
the game's snapshot, and each entry is made from the `key` of its record in the log, so it survives
whatever the game survives.

    key   = seat (1) | hash of user and key (6) | hash of the command (3)
    entry = hash of user and key (6) | the first 2 bytes of the command's | seat (1) | seq (2)
"""

from __future__ import annotations

from hashlib import blake2b

PER_SEAT = 16
ENTRY = 11
_KEY = slice(1, 7)
_COMMAND = slice(7, 9)
_SEAT = 8
_FIRST_ENTRY = 12
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
        if at % ENTRY == 0:
            if memory[at + 6 : at + 8] != mark[_COMMAND]:
                raise KeyReused
            return int.from_bytes(memory[at + 9 : at + 11], "big")
        at = memory.find(named, at + 1)
    return None


def remember(memory: bytes, mark: bytes, seq: int) -> bytes:
    """Return the memory with one entry more, and that seat's oldest dropped if it had 16."""
    seat, seats = mark[0], memory[_SEAT::ENTRY]
    if seats.count(seat) >= PER_SEAT:
        oldest = seats.index(seat) * ENTRY
        memory = memory[:oldest] + memory[oldest + ENTRY :]
    return memory + (mark[1:9] + mark[:1] + seq.to_bytes(2, "big"))


def by_column(memory: bytes) -> bytes:
    """Return a memory with what is alike side by side, which compresses well."""
    return b"".join(memory[i::ENTRY] for i in range(ENTRY))


def by_entry(columns: bytes) -> bytes:
    """Return the memory of which `by_column` made `columns`."""
    entries, count = bytearray(len(columns)), len(columns) // ENTRY
    for i in range(ENTRY):
        entries[i::ENTRY] = columns[i * count : (i + 1) * count]
    return bytes(entries)


def from_first_version(memory: bytes) -> bytes:
    """Return a memory of the format with 12 bytes an entry (seat, 6, 3, seq) in today's."""
    entries = (memory[i : i + _FIRST_ENTRY] for i in range(0, len(memory), _FIRST_ENTRY))
    return b"".join(e[1:9] + e[:1] + e[10:] for e in entries)
