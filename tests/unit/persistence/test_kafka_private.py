"""What we use of aiokafka without its promise is still there."""

import inspect
import re
import tomllib
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.protocol.produce import ProduceRequest

from persistence.kafka import wire
from persistence.kafka.nodes import Link
from persistence.kafka.produce import Produce
from persistence.kafka.records import Encoder
from persistence.log import Record, Unavailable
from persistence.ownership.row import Producer

ROOT = Path(__file__).parents[3]
VERSION = "0.14.0"


def test_the_version_is_the_one_that_was_looked_at():
    """It's pinned exactly, and locked, and the one that runs."""
    assert version("aiokafka") == VERSION
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"aiokafka=={VERSION}" in project["dependencies"]
    for lock in ("requirements.lock", "requirements-dev.lock"):
        assert re.search(rf"(?m)^aiokafka=={re.escape(VERSION)} ", (ROOT / lock).read_text())


KNOWING = {"persistence/kafka/nodes.py", "persistence/kafka/wire.py"}
USING = {"persistence/kafka/consumer.py", "persistence/kafka/dead_letters.py"}
PUBLIC = {"aiokafka", "aiokafka.errors", "aiokafka.structs"}


def test_two_files_know_aiokafkas_private_parts_and_two_use_its_clients():
    """Everything else goes through them; the latter import nothing but what is public."""
    imported = {
        str(path.relative_to(ROOT)): found
        for room in ("actors", "runtime", "persistence", "gateway", "bench")
        for path in (ROOT / room).rglob("*.py")
        if (found := re.findall(r"(?m)^\s*(?:from|import) (aiokafka[.\w]*)", path.read_text()))
    }
    assert imported.keys() == KNOWING | USING
    for file in USING:
        assert set(imported[file]) <= PUBLIC
        assert not re.search(r"_client\._|producer\._|consumer\._\w", (ROOT / file).read_text())


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (AIOKafkaClient, "bootstrap", ["self"]),
        (AIOKafkaClient, "close", ["self"]),
        (AIOKafkaClient, "force_metadata_update", ["self"]),
        (AIOKafkaClient, "get_random_node", ["self"]),
        (AIOKafkaClient, "set_topics", ["self", "topics"]),
        (AIOKafkaClient, "_get_conn", ["self", "node_id", "group", "no_hint"]),
        (AIOKafkaConnection, "send", ["self", "request", "expect_response"]),
        (AIOKafkaConnection, "connected", ["self"]),
        (AIOKafkaConnection, "close", ["self", "reason", "exc"]),
    ],
)
def test_every_name_is_there(owner, name, parameters):
    """With the parameters that we give."""
    assert list(inspect.signature(getattr(owner, name)).parameters) == parameters


class Writer:
    """A connection's end that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data) -> None:
        self.written += data

    def close(self) -> None:
        pass


class Reader:
    def at_eof(self) -> bool:
        return False


async def test_a_request_waits_in_the_connection_s_queue():
    """`send` writes at once and appends (number, request, future); the frame's answer settles it."""
    connection = AIOKafkaConnection("127.0.0.1", 1)
    connection._versions = {0: (3, 12)}
    with pytest.raises(Unavailable):
        Link(connection).send(Produce("t", [(0, b"batch")], 100))
    connection._writer, connection._reader = Writer(), Reader()
    link = Link(connection)
    first, second = (link.send(Produce("t", [(p, b"batch")], 100)) for p in range(2))
    assert connection._writer.written.count(b"batch") == 2
    connection._handle_frame(
        b"\0\0\0\1" + b"\0\0\0\1\0\1t\0\0\0\1" + b"\0\0\0\0" + b"\0\0" + b"\0" * 7 + b"\x09"
        + b"\xff" * 8 + b"\0" * 8 + b"\0" * 4
    )  # fmt: skip
    assert first.result() == [(0, 0, 9)]
    connection._read_task, connection._closed_fut = first, second
    link.close()
    assert isinstance(second.exception(), Exception)
    assert not link.connected
    assert CloseReason.CONNECTION_TIMEOUT in CloseReason


@pytest.mark.parametrize("n", [1, 3])
def test_what_is_written_by_hand_is_what_aiokafka_writes(n):
    """Request, its header and the answer are those of its own schemas."""
    pieces = [(p, b"batch%d" % p) for p in range(n)]
    ours = Produce("tópico", pieces, 1000).prepare({0: (3, 13)})
    theirs = ProduceRequest(None, -1, 1000, [("tópico", pieces)]).prepare({0: (3, 13)})
    assert theirs.API_VERSION == 7
    header = {"correlation_id": 9, "client_id": "gameshard"}
    assert ours.build_request_header(**header).encode() == (
        theirs.build_request_header(**header).encode()
    )
    assert ours.encode() == theirs.encode()
    told = [("tópico", [(p, 10 + p, 100 + p, -1, 5) for p in range(n)])]
    answer = BytesIO(b"\0\0\0\x09" + theirs.RESPONSE_TYPE(told, 0).encode())
    assert ours.parse_response_header(answer).correlation_id == 9
    assert ours.RESPONSE_TYPE.decode(answer) == [(p, 10 + p, 100 + p) for p in range(n)]


@pytest.mark.parametrize("versions", [{}, {0: (0, 6)}, {0: (8, 20)}])
def test_a_broker_of_another_time_is_told_so(versions):
    """Nothing is sent that it would understand in another way."""
    with pytest.raises(NotImplementedError):
        Produce("t", [], 0).prepare(versions)


def test_a_batch_carries_its_producer():
    """Identity, sequence, records and their headers are what the broker will read."""
    encode = Encoder().encode
    entries = [Record("g", seq, b'{"type":"Moved"}', b"k") for seq in (1, 2)]
    data = wire.batch(Producer(7, 3), (1 << 31) + 5, (encode(e, 2) for e in entries), 1000)
    ((records, following),) = wire.batches(data)
    assert (records.producer_id, records.producer_epoch, records.base_sequence) == (7, 3, 5)
    assert not records.is_transactional
    assert following == 2
    assert [(r.offset, r.timestamp, r.value) for r in records] == [
        (0, 1000, entries[0].value),
        (1, 1000, entries[1].value),
    ]
