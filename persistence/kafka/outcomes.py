"""What may become of a batch, and what each error code of the Produce API tells of it. Pure.

A code settles the batch only where nothing is left open:

    code                                  the broker                              so
    0   NONE                              has it, on every replica in sync        Acked(offset)
    46  DUPLICATE_SEQUENCE_NUMBER         has it from before, place unknown       Acked(None)
    47  INVALID_PRODUCER_EPOCH            knows a newer epoch                     Fenced
    90  PRODUCER_FENCED                   knows a newer epoch                     Fenced
    10  MESSAGE_TOO_LARGE                 took nothing, and never will            Refused
    18  RECORD_LIST_TOO_LARGE             took nothing, and never will            Refused
    87  INVALID_RECORD                    took nothing, and never will            Refused
    32  INVALID_TIMESTAMP                 took nothing, and never will            Refused
    43  UNSUPPORTED_FOR_MESSAGE_FORMAT    took nothing, and never will            Refused
    76  UNSUPPORTED_COMPRESSION_TYPE      took nothing, and never will            Refused

Of the others, some surely took nothing *this time*:

    2   CORRUPT_MESSAGE                   got other bytes than were sent          again
    5   LEADER_NOT_AVAILABLE              knows of no leader                      again
    19  NOT_ENOUGH_REPLICAS               looked before it appended               again
    29  TOPIC_AUTHORIZATION_FAILED        looked before it appended               again
    31  CLUSTER_AUTHORIZATION_FAILED      looked before it appended               again
    44  POLICY_VIOLATION                  looked before it appended               again
    45  OUT_OF_ORDER_SEQUENCE_NUMBER      misses what we think came before        again
    49  INVALID_PRODUCER_ID_MAPPING       doesn't know the producer               again
    59  UNKNOWN_PRODUCER_ID               doesn't know the producer               again
    89  THROTTLING_QUOTA_EXCEEDED         looked before it appended               again

and after any other code it may be in the log, or come into it: the leader appends first and waits
for the replicas then, and what is said afterwards tells only how the waiting ended. That goes for
NOT_LEADER_OR_FOLLOWER (6) and UNKNOWN_TOPIC_OR_PARTITION (3), too, which a leader that is deposed
meanwhile answers; for REQUEST_TIMED_OUT (7), NOT_ENOUGH_REPLICAS_AFTER_APPEND (20),
KAFKA_STORAGE_ERROR (56), NETWORK_EXCEPTION (13), UNKNOWN_SERVER_ERROR (-1) and whatever is new.

Both are tried again under the same sequence while there is time, and are `Unknown` after it: that
a refused identity is answered so, too (31, 45, 49, 59), lets the owner fall back on its outbox
instead of dropping games. Once a try may have landed, a later `Refused` proves nothing any more and
is `Unknown`.

After Kafka 4.3: `ReplicaManager.appendRecords`, `DelayedProduce`, `ProducerAppendInfo`,
`UnifiedLog.analyzeAndValidateRecords`.
"""

from __future__ import annotations

from msgspec import Struct


class Acked(Struct, frozen=True):
    """The batch is in the log for good, from `offset` on.

    None: it was there already, and the broker doesn't tell where.
    """

    offset: int | None


class Fenced(Struct, frozen=True):
    """The broker knows a newer epoch of the producer id. An earlier try may have landed."""


class Refused(Struct, frozen=True):
    """The batch surely didn't land by this call, and it's no use to try again."""

    reason: str


class Unknown(Struct, frozen=True):
    """No answer in time, or one that leaves it open: it may be in the log, or come into it yet."""

    reason: str


Outcome = Acked | Fenced | Refused | Unknown

_DUPLICATE = 46
_FENCED = {47: "INVALID_PRODUCER_EPOCH", 90: "PRODUCER_FENCED"}
_REFUSED = {
    10: "MESSAGE_TOO_LARGE",
    18: "RECORD_LIST_TOO_LARGE",
    32: "INVALID_TIMESTAMP",
    43: "UNSUPPORTED_FOR_MESSAGE_FORMAT",
    76: "UNSUPPORTED_COMPRESSION_TYPE",
    87: "INVALID_RECORD",
}
_NOTHING_TAKEN = frozenset((2, 5, 19, 29, 31, 44, 45, 49, 59, 89))


class Again(Struct, frozen=True):
    """No outcome yet. `doubtful`: this try may have landed all the same."""

    doubtful: bool


def judge(code: int, offset: int, *, doubted: bool) -> Outcome | Again:
    """Return what `code` settles; if nothing, whether this try may have landed.

    `doubted`: whether an earlier try of the same batch may have.
    """
    if code == 0:
        return Acked(offset)
    if code == _DUPLICATE:
        return Acked(None)
    if code in _FENCED:
        return Fenced()
    if (name := _REFUSED.get(code)) is not None:
        return Unknown(f"{name}, but an earlier try may have landed") if doubted else Refused(name)
    return Again(doubtful=code not in _NOTHING_TAKEN)
