"""A topic for the records that a consumer couldn't take, each as it was, with the reason beside it.

    dead_letter_reason, dead_letter_exception                   why
    dead_letter_topic, dead_letter_partition, dead_letter_offset   where the record is
    dead_letter_consumer, dead_letter_at                        who gave it up, and when

A record may be here twice, if a consumer crashed just then. Which letters wait for somebody is in
Postgres (`consumed.Consumed.letters`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from persistence.kafka.brokers import Brokers
from persistence.kafka.consumer_plan import Fetched, Item, Place, understand
from persistence.kafka.nodes import translated
from persistence.kafka.records import Header
from persistence.kafka.stores import KafkaSettings

_ANSWER_S = 10.0
_FOR_EVER_MS = -1
_MOST_BYTES = 17 << 20  # the game's topic takes 16 MiB, and the headers come on top
_POLL_MS = 500


def topic_of(events: str, consumer: str) -> str:
    """Return where the dead letters of a consumer of the topic `events` go."""
    return f"{events}.dead-letters.{consumer}"


def headers_of(item: Item, error: str, reason: str, consumer: str, at: datetime) -> list[Header]:
    """Return the headers of a dead letter: the record's own, and what became of it.

    `error` names an exception; "" if the record was never given to anybody.
    """
    own: dict[str, str] = {
        "dead_letter_reason": reason,
        "dead_letter_exception": error,
        "dead_letter_topic": item.place.topic,
        "dead_letter_partition": str(item.place.partition),
        "dead_letter_offset": str(item.place.offset),
        "dead_letter_consumer": consumer,
        "dead_letter_at": at.isoformat(timespec="milliseconds"),
    }
    told = [(name, value.encode(errors="replace")) for name, value in own.items() if value]
    return [*item.record.headers, *told]


def origin(headers: Iterable[Header]) -> Place | None:
    """Return where the record of a dead letter was first; None if it's no dead letter."""
    found = dict(headers)
    try:
        return Place(
            (found["dead_letter_topic"] or b"").decode(),
            int(found["dead_letter_partition"] or b""),
            int(found["dead_letter_offset"] or b""),
        )
    except (KeyError, ValueError):
        return None


class DeadLetters:
    """The topic. It's made when the first letter is sent, and keeps its letters for good."""

    def __init__(self, kafka: KafkaSettings, consumer: str) -> None:
        """For the dead letters of `consumer`. Call `close` when done."""
        self._kafka = kafka
        self._consumer = consumer
        self._producer: AIOKafkaProducer | None = None
        self.topic = topic_of(kafka.topic, consumer)

    async def send(self, item: Item, error: str, reason: str) -> None:
        """Send a copy of a record, and wait until it's there.

        Raises:
            Unavailable: If Kafka doesn't acknowledge it; it may be there all the same.
        """
        headers = headers_of(item, error, reason, self._consumer, datetime.now(UTC))
        with translated(f"topic {self.topic}"):
            async with asyncio.timeout(_ANSWER_S):
                producer = self._producer or await self._open()
                key, value = item.record.key, item.record.value
                if key is None and value is None:
                    value = b""  # aiokafka sends no record without both
                await producer.send_and_wait(self.topic, key=key, value=value, headers=headers)

    async def _open(self) -> AIOKafkaProducer:
        await self._make()
        producer = AIOKafkaProducer(
            bootstrap_servers=self._kafka.servers,
            client_id=f"gameshard.{self._consumer}",
            acks="all",
            enable_idempotence=True,
            max_request_size=_MOST_BYTES,
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer
        return producer

    async def _make(self) -> None:
        brokers = await Brokers.connect(self._kafka.servers, self.topic)
        try:
            kafka = self._kafka
            await brokers.ensure_topic(1, kafka.replication, _FOR_EVER_MS, kafka.min_insync)
        finally:
            await brokers.close()

    async def read(self) -> AsyncIterator[Item]:
        """Yield all letters that are there, in the order in which they came.

        Raises:
            Unavailable: If Kafka doesn't answer.
        """
        consumer = AIOKafkaConsumer(bootstrap_servers=self._kafka.servers, enable_auto_commit=False)
        try:
            with translated(f"topic {self.topic}"):
                await consumer.start()
                place = TopicPartition(self.topic, 0)
                consumer.assign([place])
                await consumer.seek_to_beginning(place)
                end = (await consumer.end_offsets([place]))[place]
            while True:
                with translated(f"topic {self.topic}"):
                    if await consumer.position(place) >= end:
                        return
                    found = await consumer.getmany(place, timeout_ms=_POLL_MS)
                for record in found.get(place, ()):
                    if item := _item(record):
                        yield item
        finally:
            await consumer.stop()

    async def close(self) -> None:
        """Hang up."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with translated("closing"):
                await producer.stop()


def _item(letter: Fetched) -> Item | None:
    place = origin(letter.headers)
    return understand(letter, place) if place is not None else None
