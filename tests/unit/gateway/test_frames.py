"""The fast cutting of frames: it must agree with websockets' own parser on whatever comes in."""

from os import environ

from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from gateway.frames import Inbox, text_frame

LIMIT = 300
MASK = b"\x11\x22\x33\x44"


def server() -> ServerProtocol:
    return ServerProtocol(max_size=LIMIT, state=OPEN)


def masked(head: int, payload: bytes, *, mask: bytes = MASK, length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    if size < 126:
        prefix = bytes((head, 0x80 | size))
    elif size < 65_536:
        prefix = bytes((head, 0xFE)) + size.to_bytes(2, "big")
    else:
        prefix = bytes((head, 0xFF)) + size.to_bytes(8, "big")
    return prefix + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


sizes = st.one_of(
    st.integers(0, 8), st.sampled_from([124, 125, 126, 127, LIMIT - 1, LIMIT, LIMIT + 1])
)
payloads = st.tuples(sizes, st.integers(0, 255)).map(
    lambda p: bytes((p[1] + i) % 256 for i in range(p[0]))
)
masks = st.binary(min_size=4, max_size=4)
small = st.integers(0, 125).map(lambda n: b"p" * n)


def frames(heads, bodies):
    return st.builds(masked, heads, bodies, mask=masks)


controls = frames(st.sampled_from([0x89, 0x8A]), small)
parts = st.integers(0, 160).map(lambda n: b"f" * n)
# Whole messages, as a sound client sends them; in fragments, with control frames between these.
fragments = st.tuples(
    frames(st.sampled_from([0x01, 0x02]), parts),
    st.lists(st.one_of(controls, frames(st.just(0x00), parts)), max_size=3).map(b"".join),
    frames(st.just(0x80), parts),
).map(b"".join)
texts = frames(st.just(0x81), payloads)
sound = st.one_of(texts, texts, controls, fragments)
# One thing that's wrong, or at least wrong in most places.
odd = st.one_of(
    frames(st.sampled_from([0x81, 0x01, 0x00, 0x80, 0x82, 0x88, 0x89, 0x09]), payloads),
    frames(st.integers(0, 255), payloads),
    st.builds(masked, st.just(0x81), payloads, length=st.integers(0, 1 << 20)),
    st.just(masked(0x88, b"\x03\xe8bye")),
    st.just(masked(0x88, b"\x03")),
    st.just(masked(0x01, b"a") + masked(0x81, b"b")),
    st.just(b"\x81\x02hi"),
    st.binary(max_size=12),
)
sounds = st.lists(sound, max_size=5).map(b"".join)
streams = st.one_of(sounds, st.tuples(sounds, odd, sounds).map(b"".join))


def by_library(stream: bytes):
    conn = server()
    conn.receive_data(stream)
    return conn, [(f.opcode, f.fin, bytes(f.data)) for f in conn.events_received()]


def by_inbox(chunks: list[bytes]):
    conn = server()
    inbox, seen = Inbox(conn, LIMIT), []
    for chunk in chunks:
        inbox.feed(chunk)
        while (item := inbox.take()) is not None:
            if type(item) is bytes:
                seen.append((Opcode.TEXT, True, item))
            else:
                seen += [(f.opcode, f.fin, bytes(f.data)) for f in item]
    return conn, seen


def outcome(conn: ServerProtocol):
    return (
        conn.state,
        type(conn.parser_exc),
        conn.current_size,
        conn.close_rcvd,
        conn.close_sent and conn.close_sent.code,
        b"".join(conn.data_to_send()),
    )


cuttings = st.one_of(st.lists(st.floats(0, 1), max_size=6), st.just(None))
"""Where a stream is cut, as parts of its length; None: into single bytes."""


@settings(max_examples=int(environ.get("GAMESHARD_EXAMPLES", "500")), deadline=None)
@given(streams, cuttings, st.one_of(st.just(1.0), st.floats(0, 1)))
@example(masked(0x81, b"x" * LIMIT) + masked(0x81, b"y"), None, 1.0)
@example(masked(0x81, b"x" * LIMIT), [0.01], 1.0)
@example(masked(0x01, b"x" * 200) + masked(0x80, b"y" * 101), None, 0.9)
@example(masked(0x08, b""), None, 1.0)
@example(masked(0x88, b"\x03\xe8") + masked(0x81, b"late"), [], 1.0)
def test_any_stream_split_anywhere_means_the_same_to_both(stream, cuts, arrived):
    """Messages, answers, and the protocol's state equal websockets', also of a part of a stream."""
    stream = stream[: round(arrived * len(stream))]
    places = range(len(stream)) if cuts is None else (int(cut * len(stream)) for cut in cuts)
    ends = sorted({*places, len(stream)} - {0})
    chunks = [stream[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    theirs, expected = by_library(stream)
    ours, seen = by_inbox(chunks)
    assert seen == expected
    assert outcome(ours) == outcome(theirs)


@given(
    st.binary(max_size=200) | st.sampled_from([125, 126, 65_535, 65_536]).map(lambda n: b"x" * n)
)
def test_our_frames_are_what_a_client_reads(payload):
    """A client's parser reads back the payload that a server's frame was built of."""
    client = ClientProtocol(parse_uri("ws://localhost/"), state=OPEN)
    client.receive_data(text_frame(payload))
    assert client.events_received() == [Frame(Opcode.TEXT, payload)]
