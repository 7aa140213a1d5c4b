"""How events and claims stand in Kafka: CloudEvents in binary mode, readable by anybody's consumer.

key = the game's id, value = the event's JSON as it's everywhere else, or, where a schema is
registered for its type, Confluent's wire format: 0x00, four bytes of the schema's id, the JSON.

    ce_specversion, ce_id ({game}:{seq}), ce_type, ce_source, ce_time, content-type
    epoch    the owner's, by the assignment
    seq      the event's number within its game
    mark     what recognises a repeat of the command behind it, if there is anything
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from msgspec import Struct

from persistence.log import Record
from persistence.ownership.row import PartitionOpened

Header = tuple[str, bytes | None]
Entry = Record | PartitionOpened

CLAIM_TYPE = "PartitionOpened"
CLAIM_KEY = b"partition-opened"
UNTYPED = "Record"
"""Stands for the type of a value that doesn't say it."""

_WIRE = 0x00  # JSON doesn't begin so
_WIRE_BYTES = 5
_KINDS = 1000
_VERSIONED = re.compile(r".+\.v[1-9][0-9]*", re.DOTALL)
_SPECVERSION: Header = ("ce_specversion", b"1.0")
_JSON: Header = ("content-type", b"application/json")
_BYTES: Header = ("content-type", b"application/octet-stream")
_CONTENT, _SEQ = 4, 6
"""Where an event has these headers, as `Encoder` writes them."""


class Encoded(NamedTuple):
    """A record as Kafka takes it."""

    key: bytes
    value: bytes
    headers: Sequence[Header]


class _Head(Struct):
    """What the headers say of an event's JSON; all else is skipped."""

    type: str = UNTYPED
    at: str = ""


class _Claim(Struct, tag=CLAIM_TYPE, tag_field="type"):
    """An owner opened the partition: after this record no event of a lower `epoch` counts.

    `attempt` counts its claims within the epoch, and `producer_id` is Kafka's. `at` is when, and
    `alive_until` until when the owner before is known to have lived, in ms since the epoch; 0: not
    known.
    """

    epoch: int
    attempt: int
    producer_id: int
    at: int = 0
    alive_until: int = 0


events = (_Claim,)
"""What is written here that is no game's; published as games' events are."""


class _Kind(NamedTuple):
    """What all events of a type have in common."""

    header: Header
    prefix: bytes


_head = msgspec.json.Decoder(_Head).decode
_claim = msgspec.json.Decoder(_Claim).decode
_OPAQUE = _Head()


def record_name(kind: str) -> str:
    """Return what events of a type are called everywhere: "gameshard.MovePlayed.v1".

    A type is version 1 unless it says otherwise: "MovePlayed.v2".
    """
    return f"gameshard.{kind}" if _VERSIONED.fullmatch(kind) else f"gameshard.{kind}.v1"


class Encoder:
    """Encodes for one topic."""

    def __init__(
        self, source: str = "/gameshard", schemas: Mapping[str, int] | None = None
    ) -> None:
        """Name `source` as where events come from.

        `schemas` are the registry's ids of schemas by type of event (as its JSON has it); events of
        other types are written as plain JSON.
        """
        self._source: Header = ("ce_source", source.encode())
        self._schemas = dict(schemas or {})
        self._kinds: dict[str, _Kind] = {}

    def encode(self, entry: Entry, epoch: int) -> Encoded:
        """Encode an event, or a claim, of an owner of `epoch`."""
        if isinstance(entry, PartitionOpened):
            return self._encode_claim(entry)
        game, number, value, mark = entry
        content = _JSON
        try:
            head = _head(value)
        except msgspec.DecodeError:
            head, content = _OPAQUE, _BYTES
        key, seq = game.encode(), b"%d" % number
        kind = self._kinds.get(head.type) or self._kind(head.type)
        if kind.prefix and content is _JSON:
            value = kind.prefix + value
        headers: list[Header] = [
            _SPECVERSION,
            ("ce_id", b"%b:%b" % (key, seq)),
            kind.header,
            self._source,
            content,
            ("epoch", b"%d" % epoch),
            ("seq", seq),
        ]
        if head.at:
            headers.append(("ce_time", head.at.encode()))
        if mark:
            headers.append(("mark", mark))
        return Encoded(key, value, headers)

    def _encode_claim(self, claim: PartitionOpened) -> Encoded:
        kind = self._kinds.get(CLAIM_TYPE) or self._kind(CLAIM_TYPE)
        headers: list[Header] = [
            _SPECVERSION,
            ("ce_id", b"%d:%d:%d" % (claim.producer_id, claim.epoch, claim.attempt)),
            kind.header,
            self._source,
            _JSON,
            ("epoch", b"%d" % claim.epoch),
        ]
        if claim.at:
            at = datetime.fromtimestamp(claim.at / 1000, UTC)
            headers.append(("ce_time", at.isoformat(timespec="milliseconds").encode()))
        return Encoded(CLAIM_KEY, kind.prefix + msgspec.json.encode(_Claim(*claim)), headers)

    def _kind(self, name: str) -> _Kind:
        schema = self._schemas.get(name)
        prefix = b"" if schema is None else b"\x00" + schema.to_bytes(4, "big")
        kind = _Kind(("ce_type", record_name(name).encode()), prefix)
        if len(self._kinds) < _KINDS:  # types of strangers' games are no reason to grow
            self._kinds[name] = kind
        return kind


_CLAIM_HEADER = record_name(CLAIM_TYPE).encode()


def decode(key: bytes | None, value: bytes | None, headers: Sequence[Header]) -> Entry | None:
    """Return what `Encoder.encode` was given; None if the record isn't one of ours."""
    if key is None or value is None:
        return None
    if len(headers) > _SEQ and headers[_SEQ][0] == "seq" and headers[_CONTENT] == _JSON:
        # As we write them: a full replay is a million of these, and to look them up takes a third.
        name, mark = headers[-1]
        if name == "mark":
            return _record(key, headers[_SEQ][1], value, mark)
    found = dict(headers)
    seq, json = found.get("seq"), found.get("content-type") != _BYTES[1]
    if seq is not None:
        return _record(key, seq, value, found.get("mark"), json=json)
    if found.get("ce_type") == _CLAIM_HEADER:
        return _opened(value)
    return None


def _record(
    key: bytes, seq: bytes | None, value: bytes, mark: bytes | None, *, json: bool = True
) -> Record | None:
    if json and value and value[0] == _WIRE:
        value = value[_WIRE_BYTES:]
    try:
        return Record(key.decode(), int(seq or b""), value, mark or b"")
    except ValueError:
        return None


def _opened(value: bytes) -> PartitionOpened | None:
    if value and value[0] == _WIRE:
        value = value[_WIRE_BYTES:]
    try:
        claim = _claim(value)
    except ValueError:  # of msgspec
        return None
    return PartitionOpened(
        claim.epoch, claim.attempt, claim.producer_id, claim.at, claim.alive_until
    )
