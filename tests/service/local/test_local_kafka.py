"""The local Kafka: what was acknowledged stays, whoever is killed."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Sequence
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.client import AIOKafkaClient
from orphans import lives, orphan_of

from persistence.local.children import free_port
from persistence.local.kafka import LocalKafka
from persistence.local.kafka_node import KafkaNode
from persistence.local.kafka_properties import NodePorts
from persistence.local.server import PortTaken


async def new_topic(kafka: LocalKafka, replicas: int) -> str:
    """Return the name of a new topic of one partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
    await admin.start()
    try:
        name = f"t{uuid4().hex[:12]}"
        answer = await admin.create_topics([NewTopic(name, 1, replicas)])
        assert [error for _, error, *_ in answer.topic_errors] == [0]
        return name
    finally:
        await admin.close()


async def produce(kafka: LocalKafka, topic: str, values: Sequence[bytes]) -> None:
    """Append `values` one after another; return when all are acknowledged."""
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.address, acks="all", enable_idempotence=True
    )
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()


async def consume(kafka: LocalKafka, topic: str) -> list[bytes]:
    """Return everything in the topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.address, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        await consumer.seek_to_beginning()
        found: list[bytes] = []
        while await consumer.position(partition) < end:
            batches = await consumer.getmany(timeout_ms=1000)
            found += [record.value for records in batches.values() for record in records]
        return found
    finally:
        await consumer.stop()


async def leader_of(kafka: LocalKafka, topic: str) -> int:
    """Return the number of the node that leads the topic's partition; -1 while none does."""
    client = AIOKafkaClient(bootstrap_servers=kafka.address)
    await client.bootstrap()
    try:
        await client.set_topics([topic])
        return client.cluster.leader_for_partition(TopicPartition(topic, 0))
    finally:
        await client.close()


def numbers(start: int, end: int) -> list[bytes]:
    return [str(number).encode() for number in range(start, end)]


async def test_it_keeps_what_it_acknowledged_through_a_kill(kafka):
    """Started again on what a kill -9 left, it has every record, at the address of before."""
    topic, address = await new_topic(kafka, 1), kafka.address
    await produce(kafka, topic, numbers(0, 100))
    os.kill(kafka.pid, signal.SIGKILL)
    while kafka.running:
        await asyncio.sleep(0)
    kafka.start()
    assert kafka.address == address
    assert await consume(kafka, topic) == numbers(0, 100)


async def test_three_go_on_when_one_is_killed(three_kafkas):
    """A producer whose partition's leader is killed loses nothing, and repeats and mixes nothing."""
    topic = await new_topic(three_kafkas, 3)
    await produce(three_kafkas, topic, numbers(0, 50))
    leader = await leader_of(three_kafkas, topic)
    node = three_kafkas.nodes[leader - 1]
    producing = asyncio.create_task(produce(three_kafkas, topic, numbers(50, 300)))
    os.kill(node.pid, signal.SIGKILL)
    await producing
    assert not node.running
    assert await leader_of(three_kafkas, topic) not in (leader, -1)
    assert await consume(three_kafkas, topic) == numbers(0, 300)


async def test_three_acknowledge_what_two_have(three_kafkas):
    """A topic of three replicas has them on three nodes, of which two must have each record."""
    topic = await new_topic(three_kafkas, 3)
    admin = AIOKafkaAdminClient(bootstrap_servers=three_kafkas.address)
    await admin.start()
    try:
        (described,) = await admin.describe_topics([topic])
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    finally:
        await admin.close()
    assert len(described["partitions"][0]["replicas"]) == 3
    settings = {name: value for name, value, *_ in answer.resources[0][4]}
    assert settings["min.insync.replicas"] == "2"


def test_it_goes_with_its_parent(tmp_path):
    """After kill -9 of the parent the broker ends by itself."""
    pid = orphan_of(LocalKafka, tmp_path)
    while lives(pid):
        time.sleep(0)


def test_a_node_is_not_moved_from_the_port_that_its_peers_know(tmp_path):
    """If somebody else has taken it, that's an error by name, and nothing is started."""
    node = KafkaNode(1, tmp_path, [])
    node.prepare()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        node.configure([NodePorts(port, free_port())])
        with pytest.raises(PortTaken, match=str(port)):
            node.start()
    assert not node.running


def test_a_cluster_that_is_down_moves_from_a_taken_port(tmp_path):
    """The ports of the last time are kept as long as all of them are free."""
    kafka = LocalKafka(tmp_path, 3)
    tmp_path.joinpath("ports.json").write_text("[]")
    chosen = kafka._choose_ports(moving=True)
    assert kafka._choose_ports(moving=True) == chosen
    with socket.create_server(("127.0.0.1", chosen[2].controller)):
        assert chosen[2].controller not in {p.controller for p in kafka._choose_ports(moving=True)}


def test_a_broker_that_ended_comes_back_where_clients_know_it(kafka):
    """While somebody else listens there it's not started elsewhere: that is said, with the port."""
    address = kafka.address
    kafka.nodes[0].kill()
    port = address.rpartition(":")[2]
    with (
        socket.create_server(("127.0.0.1", int(port))),
        pytest.raises(PortTaken, match=port),
    ):
        kafka.start(moving=False)
    kafka.start(moving=False)
    assert kafka.address == address
