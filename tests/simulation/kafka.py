"""One partition of a Kafka topic, as far as brokers fence: producer ids, epochs and sequences.

After `ProducerStateManager` and `ProducerAppendInfo` of Apache Kafka: a lower producer epoch is
refused, a new epoch begins with sequence 0, the last five batches of a producer are recognised when
they come again, any other sequence than the next is out of order.
"""

from __future__ import annotations

from collections.abc import Sequence

from persistence.log import Record
from persistence.ownership.row import PartitionOpened, Producer
from simulation.truth import Truth
from simulation.world import Violation, World

Entry = Record | PartitionOpened


class KafkaLog:
    """The partition's log and what the broker remembers of its producers."""

    def __init__(self, world: World, truth: Truth, name: str) -> None:
        self._world, self._truth = world, truth
        self.name = name
        self.entries: list[Entry] = []
        self._states: dict[int, tuple[int, int, list[tuple[int, int, int]]]] = {}
        self._producer = Producer(1, -1)
        self._ids = 1
        self.claimed_epoch = 0
        self._last: dict[str, int] = {}

    # --- the transaction coordinator ------------------------------------------------------------

    def init_producer(self) -> Producer:
        """InitProducerId for the partition's transactional id: the next epoch.

        The leader learns of it by that epoch's first batch only; until then older ones are taken.
        (An open transaction would be fenced by a marker at once; there is none.)
        """
        self._producer = Producer(self._producer.id, self._producer.epoch + 1)
        return self._producer

    def expire(self) -> None:
        """The transactional id is forgotten: the next InitProducerId gives another producer id."""
        self._ids += 1
        self._producer = Producer(self._ids, -1)

    # --- the partition's leader -----------------------------------------------------------------

    def produce(
        self, producer: Producer, sequence: int, batch: Sequence[Entry], writer: int
    ) -> tuple[str, int]:
        """Append a batch; return ("acked", offset), ("fenced", 0) or ("refused", 0)."""
        known = self._states.get(producer.id)
        if known is not None:
            epoch, following, recent = known
            if producer.epoch < epoch:
                return "fenced", 0
            if producer.epoch == epoch:
                for first, count, offset in recent:
                    if first == sequence and count == len(batch):
                        return "acked", offset
                if sequence != following:
                    return "refused", 0
            elif sequence:
                return "refused", 0
        if known is None or producer.epoch != known[0]:
            recent = []
        offset = len(self.entries)
        recent = [*recent[-4:], (sequence, len(batch), offset)]
        self._states[producer.id] = (producer.epoch, sequence + len(batch), recent)
        for entry in batch:
            self._append(entry, writer)
        return "acked", offset

    def _append(self, entry: Entry, writer: int) -> None:
        self.entries.append(entry)
        if isinstance(entry, PartitionOpened):
            self.claimed_epoch = max(self.claimed_epoch, entry.epoch)
        else:
            if writer < self.claimed_epoch:
                raise Violation(
                    f"two owners: {entry} of epoch {writer} counts after a claim of"
                    f" epoch {self.claimed_epoch} in {self.name}"
                )
            if entry.seq != self._last.get(entry.game, 0) + 1:
                raise Violation(
                    f"{entry} follows #{self._last.get(entry.game, 0)} of its game in {self.name}"
                )
            self._last[entry.game] = entry.seq
            self._truth.durable(entry, self.name)
