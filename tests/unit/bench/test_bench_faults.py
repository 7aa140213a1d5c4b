"""Whom a fault hits, and that nothing else ever gets a signal."""

import os
import subprocess
import sys
from collections.abc import Iterator
from random import Random

import msgspec
import pytest

from bench.faults.kinds import Blow, Fault, read_faults
from bench.faults.victims import NobodyError, choose, complete, owners, strangers, whole
from bench.parts import Shards
from bench.proc import Stat, command, family, stats
from bench.signals import Stopped, kill


def body(**changes: object) -> Shards:
    """GET /shards of two shards on two nodes, two gateways, a coordinator."""
    shards = [
        {"name": f"shard-{n}", "state": "serving", "node": f"n{n}", "pid": 20 + n,
         "partitions": [{"id": 2 * n, "epoch": 1}, {"id": 2 * n + 1, "epoch": 1}]}
        for n in (0, 1)
    ]  # fmt: skip
    processes = [{"role": "coordinator", "pid": 30}, {"role": "run", "pid": 1}]
    processes += [{"role": "gateway", "pid": pid} for pid in (31, 32)]
    whole_body = {"partitions": 4, "shards": shards, "processes": processes}
    return msgspec.convert(whole_body | changes, Shards)


def machine(*dead: int) -> dict[int, Stat]:
    """A head raylet 10 with the coordinator and shard-0, a second one 11 with shard-1."""
    parents = {1: 0, 10: 1, 11: 1, 20: 10, 21: 11, 30: 10, 31: 10, 32: 11}
    return {pid: Stat(parent, 0, 0, "S", pid) for pid, parent in parents.items() if pid not in dead}


def named(pid: int) -> bytes:
    return b"/x/raylet\0--head" if pid in (10, 11) else b"gameshard" if pid == 1 else b"ray::_Host"


def hit(
    fault: str, shards: Shards, of: dict[int, Stat], seed: int = 0
) -> tuple[list[int], set[int]]:
    ((blow,),) = (kind.blows for kind in read_faults(fault))
    victim = choose(blow, shards, of, named, Random(seed))
    return victim.pids, victim.partitions


def test_faults_are_read_by_their_names() -> None:
    """A list of names is a list of faults; any other word is refused with the names that are."""
    kill, stop = Blow("shard", "kill"), Blow("node", "stop")
    assert read_faults("shard-kill, node-stop") == [Fault((kill,)), Fault((stop,))]
    assert read_faults("shard-kill+node-stop") == [Fault((kill, stop))]
    assert str(read_faults("shard-kill+node-stop")[0]) == "shard-kill+node-stop"
    for wrong in ("shard", "mouse-kill", "shard-maim", "gateway-cut", "shard-kill+", ""):
        with pytest.raises(ValueError, match="coordinator"):
            read_faults(wrong)


def test_a_seed_decides_who_is_hit() -> None:
    """Any of the equals may be hit, always the same one for the same seed."""
    drawn = [hit("shard-kill", body(), machine(), seed) for seed in range(30)]
    assert ([20], {0, 1}) in drawn
    assert ([21], {2, 3}) in drawn
    assert drawn == [hit("shard-kill", body(), machine(), seed) for seed in range(30)]
    assert {hit("gateway-kill", body(), machine(), seed)[0][0] for seed in range(30)} == {31, 32}
    assert hit("coordinator-stop", body(), machine()) == ([30], set())


def test_a_dead_process_is_not_hit_again() -> None:
    """A pid that GET /shards still names but that is gone is passed over."""
    assert hit("gateway-kill", body(), machine(31))[0] == [32]
    with pytest.raises(NobodyError, match="gone"):
        hit("gateway-kill", body(), machine(31, 32))
    with pytest.raises(NobodyError, match="none"):
        hit("coordinator-kill", body(processes=[]), machine())
    with pytest.raises(NobodyError, match="no shard"):
        hit("shard-kill", body(), machine(20, 21))


def test_a_node_is_a_raylet_without_the_coordinator() -> None:
    """A kill hits the raylet, a stop all that runs on it; its shards' partitions are hit."""
    for seed in range(10):
        assert hit("node-kill", body(), machine(), seed) == ([11], {2, 3})
    assert hit("node-stop", body(), machine()) == ([11, 21, 32], {2, 3})


def test_the_only_node_is_never_hit() -> None:
    """Where one raylet holds everything, losing it is no fault to recover from: it's refused."""
    one = machine() | {pid: Stat(10, 0, 0, "S", pid) for pid in (21, 32)}
    with pytest.raises(NobodyError, match="several"):
        hit("node-kill", body(), one)


def test_whole_is_every_partition_with_an_owner_that_serves() -> None:
    """A silent shard's partitions don't count, nor does a server that names none."""
    shards = body()
    assert whole(shards)
    assert owners(shards)[3] == ("shard-1", 1)
    shards.shards[1].state = "silent"
    assert not whole(shards)
    assert not whole(Shards())


def test_complete_is_everybody_that_is_named_and_enough_shards() -> None:
    """Neither a shard that is silent nor a process that is gone is there."""
    assert complete(body(), machine(), 2)
    assert not complete(body(), machine(), 3)
    assert not complete(body(), machine(32), 2)
    shards = body()
    shards.shards[1].state = "silent"
    assert not complete(shards, machine(), 2)


def test_a_stranger_is_found() -> None:
    """A pid that isn't here, or is another program's, shows that the server isn't here."""
    assert strangers(body(), machine(), named) == {}
    assert strangers(body(), machine(21), named) == {21: "shard-1"}
    assert strangers(body(), machine(), lambda pid: b"sshd" if pid == 31 else named(pid)) == {
        31: "gateway"
    }


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()


def wait_for_state(pid: int, states: str) -> None:
    while stats()[pid].state not in states:
        os.sched_yield()


def test_what_was_stopped_is_woken(child: subprocess.Popen[bytes]) -> None:
    """A stopped process stands still until it's woken, once."""
    stopped = Stopped([child.pid])
    wait_for_state(child.pid, "T")
    stopped.undo()
    woken = stopped.woken_at
    wait_for_state(child.pid, "SR")
    stopped.undo()
    assert stopped.woken_at == woken
    assert [note.split(" after")[0] for note in stopped.notes()] == ["1 woken"]


def test_what_others_ended_meanwhile_is_told(child: subprocess.Popen[bytes]) -> None:
    """A process that somebody else kills while it's stopped gets no signal any more."""
    stopped = Stopped([child.pid])
    kill([child.pid])
    child.wait()
    kill([child.pid])
    stopped.look()
    stopped.undo()
    assert [note.split(" within")[0] for note in stopped.notes()] == ["1 ended by others"]


def test_processes_are_known_by_parent_and_command(child: subprocess.Popen[bytes]) -> None:
    """A child is in its parent's family, and its command line is its own."""
    assert child.pid in family(os.getpid(), stats())
    assert b"input()" in command(child.pid)
    assert command(2**22 + 1) == b""
