"""The link's framing: whatever the network cuts the stream into, the messages come out whole."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import link as links
from runtime import wire
from runtime.link import ClientLink, ServerLink, connect


class Wire:
    """A transport that only collects; enough to drive a link without a network."""

    def __init__(self) -> None:
        self.sent = bytearray()
        self.aborted = False

    def write(self, data) -> None:
        self.sent += data

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high) -> None:
        pass

    def abort(self) -> None:
        self.aborted = True

    def take(self) -> bytes:
        sent, self.sent = bytes(self.sent), bytearray()
        return sent


class Shard(ServerLink):
    def __init__(self, loop, secret) -> None:
        super().__init__(loop, secret)
        self.got = []

    def messages(self, messages) -> None:
        self.got += messages


async def introduce(secret=b"s", other=b"s"):
    loop = asyncio.get_running_loop()
    got = []
    shard, shard_wire = Shard(loop, secret), Wire()
    client, client_wire = ClientLink(loop, other, "g", got.append, lambda _: None), Wire()
    client.connection_made(client_wire)
    shard.connection_made(shard_wire)
    for _ in range(4):
        await asyncio.sleep(0)
        if data := shard_wire.take():
            client.data_received(data)
        if data := client_wire.take():
            shard.data_received(data)
    return shard, client, got, shard_wire


async def close(shard, client) -> None:
    shard.connection_lost(None)
    client.connection_lost(None)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=8), st.data())
def test_any_cut_of_the_stream_gives_the_same_messages(sizes, data):
    """Frames split and joined at random byte positions arrive as they were sent."""
    frames, expected = b"", []
    for size in sizes:
        messages = [wire.StateIn(len(expected) + i + 1, 3, "game" * size) for i in range(size)]
        expected += messages
        frames += bytes(wire.frame(messages))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(frames)), max_size=12)))

    async def run():
        shard, client, _, _ = await introduce()
        for start, end in zip([0, *cuts], [*cuts, len(frames)], strict=True):
            if end > start:
                shard.data_received(frames[start:end])
        await close(shard, client)
        return shard.got

    assert asyncio.run(run()) == expected


async def test_both_ends_must_know_the_secret():
    """Neither a wrong client nor a wrong shard gets past the handshake."""
    shard, client, _, shard_wire = await introduce(b"right", b"wrong")
    assert shard_wire.aborted
    assert not shard.ready
    assert not client.ready
    await close(shard, client)


async def test_nothing_is_believed_before_the_handshake():
    """A command as the first message cuts the link."""
    shard, wire_ = Shard(asyncio.get_running_loop(), b"s"), Wire()
    shard.connection_made(wire_)
    shard.data_received(bytes(wire.frame([wire.StateIn(1, 0, "g")])))
    assert wire_.aborted
    assert shard.got == []
    shard.connection_lost(None)


async def test_a_frame_that_is_too_large_or_garbage_cuts_the_link():
    """Bad bytes harm nobody but their sender."""
    for bad in (b"\xff\xff\xff\xff", b"\0\0\0\x02\xc1\xc1"):
        shard, client, _, shard_wire = await introduce()
        shard.data_received(bad)
        assert shard_wire.aborted
        await close(shard, client)


async def test_a_shard_that_stays_silent_costs_no_connection(monkeypatch):
    """Whoever gives up waiting for the welcome hangs up."""
    monkeypatch.setattr(links, "HANDSHAKE_S", 0.05)
    hung_up = asyncio.Event()

    async def silent(reader, writer) -> None:
        await reader.read()
        hung_up.set()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    link = ClientLink(asyncio.get_running_loop(), b"s", "g", lambda _: None, lambda _: None)
    with pytest.raises(TimeoutError):
        await connect(link, server.sockets[0].getsockname()[:2])
    async with asyncio.timeout(5):
        await hung_up.wait()
    server.close()


async def test_a_batch_beyond_the_bound_leaves_in_several_frames():
    """However much is pushed in one turn: it arrives whole and in order, and nobody is cut off."""
    shard, client, got, shard_wire = await introduce()
    half_a_megabyte = bytes(512 * 1024)
    events = [wire.EventOut(0, 1, "g", seq, half_a_megabyte, 0) for seq in range(1, 41)]
    for event in events:
        shard.push(event)
    await asyncio.sleep(0)
    client.data_received(shard_wire.take())
    assert client.failure is None
    assert got == events
    await close(shard, client)


async def test_a_message_beyond_the_bound_is_excused_alone():
    """Whoever asked hears that the answer is too large; those before and after it hear theirs."""
    shard, client, got, shard_wire = await introduce()
    small = wire.PackedOut(1, 0, 4, "chess", 1, b"")
    huge = wire.PackedOut(2, 0, 4, "chess", 1, bytes(wire.MAX_FRAME))
    unasked = wire.EventOut(0, 4, "g", 2, bytes(wire.MAX_FRAME), 0)
    for message in (small, huge, unasked, small):
        shard.push(message)
    await asyncio.sleep(0)
    client.data_received(shard_wire.take())
    assert client.failure is None
    assert [type(message) for message in got] == [wire.PackedOut, wire.RefusedOut, wire.PackedOut]
    assert (got[1].reply, got[1].epoch, got[1].code) == (2, 4, "answer_too_large")
    await close(shard, client)
