"""What must hold, whatever happens: one history a game, which holds all that anybody was told."""

from __future__ import annotations

from typing import NamedTuple

from persistence.log import Record
from simulation.world import Violation, World


class Told(NamedTuple):
    """What an answer says: `value` is event `seq` of `game`, its newest if `last`."""

    game: str
    seq: int
    value: bytes


class Truth:
    """Sees every event that becomes durable, and everything that is said."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.histories: dict[str, list[bytes]] = {}
        self.acked: dict[str, dict[int, int]] = {}
        """Game -> epoch of the teller -> the highest seq that it told of."""
        self.answers = 0

    def durable(self, record: Record, place: str) -> None:
        """An event is in a log, or in the outbox: it's history now."""
        history = self.histories.setdefault(record.game, [])
        have = len(history)
        if record.seq <= have:
            if history[record.seq - 1] != record.value:
                raise Violation(
                    f"fork: {record.game} #{record.seq} is {history[record.seq - 1]!r},"
                    f" and {record.value!r} in {place}"
                )
        elif record.seq == have + 1:
            if record.value in history:
                raise Violation(f"twice: {record.value!r} in {record.game}, again in {place}")
            history.append(record.value)
        else:
            raise Violation(f"gap: {record.game} #{record.seq} in {place} follows #{have}")

    def told(self, told: Told, epoch: int) -> None:
        """The owner of `epoch` says something."""
        self.answers += 1
        history = self.histories.get(told.game, ())
        if told.seq > len(history) or (told.seq and history[told.seq - 1] != told.value):
            raise Violation(f"told what isn't durable: {told} by epoch {epoch}")
        acked = self.acked.setdefault(told.game, {})
        if told.seq > acked.get(epoch, 0):
            acked[epoch] = told.seq

    def loaded(self, games: dict[str, list[bytes]], epoch: int, prefix: str) -> None:
        """The owner of `epoch` begins to serve these games: nothing told before may be missing."""
        for game, history in self.histories.items():
            if not game.startswith(prefix):
                continue
            have = games.get(game, [])
            if have != history[: len(have)]:
                raise Violation(f"epoch {epoch} loaded {game} with what isn't durable: {have}")
            for other, seq in self.acked.get(game, {}).items():
                if other <= epoch and seq > len(have):
                    raise Violation(
                        f"lost: epoch {epoch} loaded {game} up to #{len(have)},"
                        f" but epoch {other} told of #{seq}"
                    )
        for game in games.keys() - self.histories.keys():
            if games[game]:
                raise Violation(f"epoch {epoch} loaded {game}, of which nothing is durable")
