"""Requests to brokers and their answers, with the parts of aiokafka that have no public name. Pure.

Only this file and `nodes` know them; the version is pinned, and a test looks for every name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from aiokafka.client import CoordinationType
from aiokafka.errors import CorruptRecordException
from aiokafka.protocol.admin import CreateTopicsRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from persistence.kafka.records import Encoded
from persistence.ownership.row import Producer

EARLIEST, LATEST = -2, -1

_MAGIC = 2
_UNCOMMITTED = 0  # there are no transactions: up to what all replicas in sync have
_CLIENT = -1
_SEQUENCES = 0x7FFFFFFF  # they begin anew after it, at 0
_NO_BOUND = 1 << 30
_TRANSACTION_MS = 60_000  # never begun, but asked for


# --- claims -----------------------------------------------------------------------------------


def find_coordinator(transactional_id: str) -> FindCoordinatorRequest:
    """Ask any broker who coordinates the transactional id: (code, node) by `coordinator`."""
    return FindCoordinatorRequest(transactional_id, CoordinationType.TRANSACTION)


def coordinator(answer: Any) -> tuple[int, int]:
    """Return (code, node)."""
    return answer.error_code, answer.coordinator_id


def init_producer(transactional_id: str) -> InitProducerIdRequest:
    """Ask the coordinator for the next epoch."""
    return InitProducerIdRequest(transactional_id, _TRANSACTION_MS)


def initialised(answer: Any) -> tuple[int, Producer]:
    """Return (code, the new identity)."""
    return answer.error_code, Producer(answer.producer_id, answer.producer_epoch)


# --- appends ----------------------------------------------------------------------------------


def batch(producer: Producer, sequence: int, records: Iterable[Encoded], now_ms: int) -> bytes:
    """Encode a batch as it stands in the log: idempotent, no part of a transaction."""
    sequence &= _SEQUENCES
    builder = DefaultRecordBatchBuilder(
        _MAGIC, 0, 0, producer.id, producer.epoch, sequence, _NO_BOUND
    )
    append = builder.append
    for place, (key, value, headers) in enumerate(records):
        append(place, now_ms, key, value, headers)  # pyright: ignore[reportArgumentType]
    return bytes(builder.build())


# --- reads ------------------------------------------------------------------------------------


class Fetched(NamedTuple):
    """An answer to `fetch`: whole batches, from the one that holds the offset on."""

    code: int
    data: bytes


def fetch(topic: str, partition: int, offset: int, wait_ms: int, size: int) -> FetchRequest:
    """Ask for about `size` bytes of batches, and wait `wait_ms` for the first."""
    return FetchRequest(wait_ms, 1, size, _UNCOMMITTED, [(topic, [(partition, offset, size)])])


def fetched(answer: Any) -> Fetched:
    """Return what the one partition that was asked for answers."""
    code = getattr(answer, "error_code", 0)  # of the whole request
    for _, partitions in answer.topics:
        for _, own, *_, data in partitions:
            return Fetched(code or own, data or b"")
    return Fetched(code or _CLIENT, b"")


def batches(data: bytes) -> Iterator[tuple[Iterable[Any], int]]:
    """Yield each batch's records (offset, key, value, headers) and the offset behind the batch.

    Raises:
        CorruptRecordException: If a batch isn't what the producer sent.
    """
    records = MemoryRecords(data)
    while records.has_next():
        batch: Any = records.next_batch()
        if not isinstance(batch, DefaultRecordBatch):
            raise CorruptRecordException("a batch in a format of before Kafka 0.11")
        if not batch.validate_crc():
            raise CorruptRecordException(f"the batch at {batch.base_offset} has a wrong checksum")
        yield () if batch.is_control_batch else batch, batch.next_offset


def offsets(topic: str, partition: int, which: int) -> OffsetRequest:
    """Ask for the `EARLIEST` or `LATEST` offset."""
    return OffsetRequest(_CLIENT, _UNCOMMITTED, [(topic, [(partition, which)])])


def offset(answer: Any) -> tuple[int, int]:
    """Return (code, offset)."""
    for _, partitions in answer.topics:
        for _, code, _, found, *_ in partitions:
            return code, found
    return _CLIENT, 0


# --- the topic --------------------------------------------------------------------------------


def create_topic(
    topic: str, partitions: int, replication: int, settings: Mapping[str, str], wait_ms: int
) -> CreateTopicsRequest:
    """Make a topic; any broker hands it on to the controller."""
    new: Any = (topic, partitions, replication, [], list(settings.items()))
    return CreateTopicsRequest([new], wait_ms, validate_only=False)


def created(answer: Any) -> tuple[int, str]:
    """Return (code, what the broker says of it)."""
    for _, code, message in answer.topic_errors:
        return code, message or f"error {code}"
    return _CLIENT, "no answer for the topic"
