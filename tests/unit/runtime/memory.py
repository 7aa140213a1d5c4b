"""A log and a store in memory, to look at the pure runtime alone. They keep every promise of the
protocols, and can be told to hold an append back."""

import asyncio
from collections import defaultdict

from persistence.log import Claim, Fenced, Memory, Record
from persistence.snapshots import Snapshot, Stored


class MemoryLog:
    def __init__(self) -> None:
        self.records: dict[int, list[Record]] = defaultdict(list)
        self.epochs: dict[int, int] = defaultdict(int)
        self.checkpoints: dict[int, int] = defaultdict(int)
        self.outages: list[tuple[int, int]] = []
        self.held: list | None = None
        self.appends = 0
        self.memories: dict[int, Memory] = {}
        self.at = 0

    def hold(self) -> None:
        """Keep every append in doubt until `let_go`."""
        self.held = []

    def let_go(self) -> None:
        held, self.held = self.held, None
        for append in held or []:
            self._land(*append)

    async def claim(self, partition: int, epoch: int, owner: str, known: int = 0) -> Claim:
        if epoch <= self.epochs[partition]:
            raise Fenced(partition, epoch)
        self.epochs[partition] = epoch
        return Claim(
            partition,
            epoch,
            len(self.records[partition]),
            self.checkpoints[partition],
            0,
            self.at,
            tuple(self.outages),
        )

    def status(self):
        return {"kind": "memory", "healthy": True}

    def attach(self, partition, epoch, memory):
        """There's no other place to go on in: tests play it."""
        self.memories[partition] = memory

    def release(self, partition, epoch):
        """Nothing is kept of a claim."""

    def append(self, partition, epoch, records):
        future = asyncio.get_running_loop().create_future()
        self.appends += 1
        if self.held is not None:
            self.held.append((partition, epoch, list(records), future))
        else:
            asyncio.get_running_loop().call_soon(
                self._land, partition, epoch, list(records), future
            )
        return future

    def _land(self, partition, epoch, records, future) -> None:
        if future.cancelled():
            return
        if epoch != self.epochs[partition]:
            future.set_exception(Fenced(partition, epoch))
            return
        first = len(self.records[partition])
        self.records[partition] += records
        future.set_result(first)

    async def read(self, partition, start, end):
        for i in range(start, end, 3):
            yield list(enumerate(self.records[partition]))[i : min(i + 3, end)]

    async def touch(self, owned):
        return [p for p, epoch in owned if self.epochs[p] != epoch]

    async def checkpoint(self, partition, epoch, offset) -> None:
        if self.epochs[partition] == epoch:
            self.checkpoints[partition] = max(self.checkpoints[partition], offset)

    async def close(self) -> None:
        pass


class MemoryStore:
    def __init__(self) -> None:
        self.rows: dict[str, Snapshot] = {}
        self.chunks: dict[str, list[bytes]] = defaultdict(list)

    async def save(self, snapshots):
        held = {}
        for snapshot in snapshots:
            row = self.rows.get(snapshot.game)
            if (row.seq if row else 0) == snapshot.base:
                self.rows[snapshot.game] = snapshot
                self.chunks[snapshot.game].append(snapshot.chunk)
            held[snapshot.game] = self.rows[snapshot.game].seq
        return held

    async def load(self, games):
        return {
            game: Stored(game, row.kind, row.seq, row.state, row.deadline)
            for game in games
            if (row := self.rows.get(game)) is not None
        }

    async def history(self, game):
        return list(self.chunks[game])

    async def deadlines(self, partition):
        yield [
            (row.game, row.deadline)
            for row in self.rows.values()
            if row.partition == partition and row.deadline is not None
        ]

    async def played(self, user, before, limit):
        return []

    async def close(self) -> None:
        pass
