"""What an append costs: `python tests/service/persistence/measure_log.py [SECONDS a row]`.

CPU of the client is this process's, with the asking loop; Postgres's is that of all its processes.
"""

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from persistence.installation import Installation, install
from persistence.local.postgres import LocalPostgres
from persistence.log import Record
from persistence.postgres import PostgresStores

VALUE = (
    b'{"type":"MovePlayed","game":"xxxxxxxxxxxx","seq":7,"at":"2026-11-24T11:15:19.123Z","ply":6,'
    b'"uci":"e2e4","by":"uuuuuuuuuuuu","white_ms":300000,"black_ms":300000}'
)


def cpu_of_children(postmaster: int) -> float:
    """Seconds of CPU of the server's processes."""
    total = 0
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if entry.name.isdigit() and int(fields[1]) == postmaster:
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


async def row(stores, server, partitions: int, size: int, seconds: float) -> None:
    records = [
        [Record(f"game{p:02}{i:06}", i + 1, VALUE, b"k" * 16) for i in range(size)]
        for p in range(partitions)
    ]
    count = 0
    statements = stores.log.counters.statements
    client, postgres, began = time.process_time(), cpu_of_children(server.pid), time.monotonic()
    while time.monotonic() - began < seconds:
        await asyncio.gather(*(stores.log.append(p, 1, records[p]) for p in range(partitions)))
        count += partitions * size
    elapsed = time.monotonic() - began
    client, postgres = time.process_time() - client, cpu_of_children(server.pid) - postgres
    statements = stores.log.counters.statements - statements
    print(  # noqa: T201  (its purpose)
        f"{partitions:3} partitions x {size:3}: {count / elapsed:8.0f} records/s"
        f"  client {client / count * 1e6:5.1f}, postgres {postgres / count * 1e6:5.1f} us/record"
        f"  ({client / statements * 1e6:.0f} + {postgres / statements * 1e6:.0f} us/statement)",
        flush=True,
    )


async def measure(server, seconds: float) -> None:
    stores = PostgresStores(server.dsn)
    for p in range(16):
        await stores.assignments.assign(p, "me", 0)
        await stores.log.claim(p, 1, "me")
    for partitions in (1, 4, 16):
        for size in (1, 10, 100):
            await row(stores, server, partitions, size, seconds)
    await stores.close()


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    with tempfile.TemporaryDirectory(prefix="gameshard-pg-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = LocalPostgres(Path(folder))
        server.start()
        try:
            install(server.dsn, Installation("measure", 16))
            uvloop.run(measure(server, seconds))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
