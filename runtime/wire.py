"""What travels between a gateway and a shard: messages, and how they are framed.

A frame is a 4-byte big-endian length and a msgpack array of messages; each message is an array
that begins with its tag. Tags and the order of fields are frozen; new fields come last, with a
default. Every message of a shard about a game carries the epoch under which it speaks.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import sha256

import msgspec
from msgspec import Struct

MAX_FRAME = 16 * 1024 * 1024
VERSION = 2


class Message(Struct, array_like=True, gc=False):
    """Root of everything on the link."""


# --- gateway to shard --------------------------------------------------------------------------


class Hello(Message, tag="h"):
    """The first message of a client: who it is, and the proof that it knows the secret."""

    version: int
    name: str
    nonce: bytes
    proof: bytes


class CommandIn(Message, tag="c"):
    """`runtime.asks.Ask` on its way; `reply` names the answer; 0 is never used.

    `drawn`: the key is the router's own, for its repeats; the asker gave none.
    """

    reply: int
    partition: int
    game: str
    command: str
    body: bytes
    user: str | None
    key: str | None
    kind: str | None
    fresh: bool
    round_trip_ms: int
    held_ms: int
    drawn: bool = False
    thought_ms: int = -1


class StateIn(Message, tag="s"):
    """Asks for the durable state."""

    reply: int
    partition: int
    game: str


class EventsIn(Message, tag="e"):
    """Asks for the events after `after`, waiting up to `wait_ms` for the first."""

    reply: int
    partition: int
    game: str
    after: int
    wait_ms: int


class WatchIn(Message, tag="w"):
    """Begins (or keeps) a watch of a game; asks for the state, or for what came after `after`."""

    reply: int
    partition: int
    game: str
    after: int | None


class UnwatchIn(Message, tag="u"):
    """Ends this link's watch of a game."""

    partition: int
    game: str


class AttendIn(Message, tag="a"):
    """Tells who is connected to the game at this gateway now: the whole truth, not a change."""

    partition: int
    game: str
    users: Sequence[str]
    watchers: int


class Rewatch(Struct, array_like=True, gc=False):
    """One game of a `RewatchIn`: heard up to `after`; who is connected to it at this gateway.

    `untold`: that has changed since an owner was told, so the others must hear of it.
    """

    game: str
    after: int
    users: Sequence[str]
    watchers: int
    untold: bool


class RewatchIn(Message, tag="r"):
    """Takes up watches that another owner (or another link) had; each is answered `CaughtOut`."""

    partition: int
    games: Sequence[Rewatch]


ShardIn = Hello | CommandIn | StateIn | EventsIn | WatchIn | UnwatchIn | AttendIn | RewatchIn

# --- shard to gateway --------------------------------------------------------------------------


class ChallengeOut(Message, tag="C"):
    """The first message of a shard."""

    nonce: bytes


class WelcomeOut(Message, tag="W"):
    """The client's proof was right; here is the shard's own, over the client's nonce."""

    proof: bytes


class DoneOut(Message, tag="D"):
    """The command is event `seq`, and durable."""

    reply: int
    partition: int
    epoch: int
    seq: int
    data: bytes
    repeated: bool


class RefusedOut(Message, tag="R"):
    """The command or question was refused; what it was judged by is durable."""

    reply: int
    partition: int
    epoch: int
    code: str
    detail: str


class AwayOut(Message, tag="A"):
    """The log is away, or the shard is overloaded: not done, try again later."""

    reply: int
    retry_after_ms: int


class MovedOut(Message, tag="M"):
    """This shard doesn't own the partition (or not yet): look the owner up and ask there."""

    reply: int
    partition: int


class PackedOut(Message, tag="P"):
    """The durable state."""

    reply: int
    partition: int
    epoch: int
    kind: str
    seq: int
    state: bytes


class MissedOut(Message, tag="I"):
    """The events asked for, up to `seq`."""

    reply: int
    partition: int
    epoch: int
    kind: str
    seq: int
    events: Sequence[bytes]


class EventOut(Message, tag="E"):
    """A durable event of a watched game; `reply` is that of its command, if it came from here."""

    partition: int
    epoch: int
    game: str
    seq: int
    data: bytes
    reply: int


class CaughtOut(Message, tag="G"):
    """A game of a `RewatchIn` is watched: the events after `after`, up to `seq`."""

    partition: int
    epoch: int
    game: str
    seq: int
    events: Sequence[bytes]


class PresenceOut(Message, tag="p"):
    """Who is connected to the game changed: a frame for its sockets."""

    game: str
    data: bytes


class LostOut(Message, tag="L"):
    """This shard owns the partition no more: watch its games elsewhere."""

    partition: int


ShardOut = (
    ChallengeOut
    | WelcomeOut
    | DoneOut
    | RefusedOut
    | AwayOut
    | MovedOut
    | PackedOut
    | MissedOut
    | EventOut
    | CaughtOut
    | PresenceOut
    | LostOut
)


def proof(secret: bytes, nonce: bytes, name: str) -> bytes:
    """Return what only a holder of the cluster's secret can say to `nonce` as `name`."""
    return hmac.new(secret, nonce + name.encode(), sha256).digest()


_encode_into = msgspec.msgpack.Encoder().encode_into


def frame(messages: Sequence[Message]) -> bytearray:
    """Return one frame of `messages`."""
    buffer = bytearray(4)
    _encode_into(messages, buffer, 4)
    buffer[:4] = (len(buffer) - 4).to_bytes(4, "big")
    return buffer


decode_in = msgspec.msgpack.Decoder(list[ShardIn]).decode
decode_out = msgspec.msgpack.Decoder(list[ShardOut]).decode
