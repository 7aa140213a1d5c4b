"""How fast a full replay is, from a log alone to live games:

    python tests/service/runtime/measure_replay.py [EVENTS [postgres|kafka ...]]

EVENTS events of chess games (82 each, of a real game's 80 plies) are in one partition. They are read
and evolved batch by batch on one thread, as whoever opens a partition does it; then every game's
state is compared with the first one's.
"""

import itertools
import sys
import tempfile
import time
from pathlib import Path

import chess
import msgspec
import psycopg
import uvloop

import actors.chess as behaviour
from actors.behaviour import Context
from persistence.database import Database
from persistence.installation import Installation, install
from persistence.kafka.brokers import Brokers
from persistence.kafka.log import KafkaLog
from persistence.local.kafka import LocalKafka
from persistence.local.postgres import LocalPostgres
from persistence.log import Record
from persistence.postgres import PostgresStores
from persistence.postgres_assignments import PostgresAssignments
from runtime.behaviours import Kind
from runtime.cell import Cell, stamp
from runtime.revival import replay, revived
from runtime.tails import read_tail

PLIES = 80
CHUNK = 2000
encode = msgspec.json.encode


def one_game() -> list[bytes]:
    """The events of a game of PLIES plies, for a game whose name is replaced later."""
    kind, cell, now = Kind(behaviour), None, 1_764_000_000_000
    board, values = chess.Board(), []
    cell = Cell("G" * 12, kind)

    def do(name: str, user: str, **fields) -> None:
        nonlocal now
        now += 1000
        known = kind.commands[name][0].decode(encode(fields))
        context = Context(cell.game, now, user, 0, 0, 7, {}, kind.version)
        for event in kind.decide(cell.state, known, context):
            cell.seq += 1
            stamp(event, cell.game, cell.seq, now)
            cell.state = kind.evolve(cell.state, event)
            values.append(encode(event))

    do("create", "ann", color="white", clock={"initial": 3000, "increment": 30})
    do("join", "bob")
    for ply in range(PLIES):
        # The first that no capture, check or repetition makes short.
        moves = [
            m for m in board.legal_moves if not board.is_capture(m) and not board.gives_check(m)
        ]
        move = moves[(7 * ply + ply // 3) % len(moves)]
        do("move", ("ann", "bob")[ply % 2], uci=move.uci(), ply=ply)
        board.push(move)
    return values


def games(events: int):
    """Records of interleaved games: each has one event before any has its next."""
    values = one_game()
    count = events // len(values)
    for seq, value in enumerate(values, 1):
        for n in range(count):
            name = f"g{n:011}"
            yield Record(name, seq, value.replace(b"G" * 12, name.encode()), b"")


async def measure(label: str, first, second, assignments, events: int) -> None:
    """The log of the `first` owner writes all, that of the `second` takes over."""
    epoch = (await assignments.assign(0, "a", 0)).epoch
    await first.claim(0, epoch, "a")
    stream, began = games(events), time.monotonic()
    while chunk := list(itertools.islice(stream, CHUNK)):
        await first.append(0, epoch, chunk)
    print(f"{label}: written in {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201
    epoch = (await assignments.assign(0, "b", epoch)).epoch
    cpu, began = time.process_time(), time.monotonic()
    claim = await second.claim(0, epoch, "b")
    tail = await read_tail(second, claim, claim.checkpoint, claim.head)
    read_s, read_cpu = time.monotonic() - began, time.process_time() - cpu
    kinds = {"chess": Kind(behaviour)}
    cells, count = [], 0
    for name in list(tail):
        records = tail.pop(name)
        cell = revived(name, kinds, None, records)
        replay(cell, records)
        cells.append(cell)
        count += len(records)
    elapsed, used = time.monotonic() - began, time.process_time() - cpu
    states = {cell.kind.pack(cell.state).replace(cell.game.encode(), b"G") for cell in cells}
    assert len(states) == 1
    print(  # noqa: T201
        f"{label}: {count} events of {len(cells)} games in {elapsed:.1f} s ({read_s:.1f} s of it to"
        f" read them), CPU {used:.1f} s ({read_cpu:.1f}): {count / elapsed:,.0f} events/s,"
        f" {count / used:,.0f} a second of CPU",
        flush=True,
    )


async def on_postgres(dsn: str, events: int) -> None:
    stores = PostgresStores(dsn)
    await measure("postgres", stores.log, stores.log, stores.assignments, events)
    await stores.close()


async def on_kafka(dsn: str, address: str, events: int) -> None:
    database = Database(dsn)
    brokers = [await Brokers.connect(address, "replayed") for _ in range(2)]
    for each in brokers:
        await each.ensure_topic(1, 1, 7 * 24 * 3_600_000, 1)
    logs = [KafkaLog(each, database) for each in brokers]
    await measure("kafka", *logs, PostgresAssignments(database), events)
    for each in (*logs, *brokers, database):
        await each.close()


def main() -> None:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    kinds = sys.argv[2:] or ["postgres", "kafka"]
    with tempfile.TemporaryDirectory(prefix="gameshard-mr-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = LocalPostgres(Path(folder) / "pg")
        server.start()
        try:
            for kind in kinds:
                with psycopg.connect(server.dsn, autocommit=True) as connection:
                    connection.execute(f"CREATE DATABASE of_{kind}")
                dsn = server.dsn.replace("dbname=postgres", f"dbname=of_{kind}")
                if kind == "postgres":
                    install(dsn, Installation("measure", 1))
                    uvloop.run(on_postgres(dsn, events))
                else:
                    kafka = LocalKafka(Path(folder) / "kafka")
                    kafka.start()
                    try:
                        install(dsn, Installation("measure", 1, "kafka"))
                        uvloop.run(on_kafka(dsn, kafka.address, events))
                    finally:
                        kafka.kill()
        finally:
            server.stop()


if __name__ == "__main__":
    main()
