"""What an operator may set about shards and routers; read once, passed down, never changed."""

from __future__ import annotations

from msgspec import Struct


class ShardSettings(Struct, frozen=True, kw_only=True):
    """How a shard keeps its games. Times are in seconds."""

    snapshot_events: int = 10
    """A game is snapshotted when so many events have come since the last snapshot."""
    snapshot_after: float = 300.0
    """Or when its oldest unsaved event is so old; the end of a game is saved at once."""
    save_idle_after: float = 20.0
    """Or when nobody has asked for it so long: then its events needn't be in memory."""
    save_every: float = 0.25
    """Snapshots gather for so long before they're written in one statement."""
    save_rows: int = 500
    """At most so many snapshots go in one statement."""
    passivate_after: float = 60.0
    """A saved game that nobody watches or asks for so long is packed."""
    resting_games: int = 200_000
    """So many packed games stay in memory; beyond it the oldest is dropped (it's in the store)."""
    checkpoint_every: float = 2.0
    warm_every: float = 1.0
    """So old the hot state may be, if there's one: what a take-over reads of the log."""
    touch_every: float = 1.0
    """How often the owner says that it lives: the precision of the uncharged time of an outage."""
    lease: float = 3.0
    """So long after the last word that its games are its own a shard answers for them."""
    shed_lag_ms: float = 250.0
    """A shard whose event loop is late by so much turns new games away, so that moves go on."""
    open_records: int = 20_000
    """So many events may wait for the log in one partition; then commands are turned away."""
    doubt_after: float = 1.0
    """When an append has been unanswered for so long, commands are turned away at once."""
    waiting_commands: int = 256
    """So many commands may wait for one game to be loaded."""
    link_commands: int = 50_000
    """So many unanswered commands may one link have; then it isn't read until half are answered."""
    history_events: int = 10_000
    """The most events that a game may have."""


class RouterSettings(Struct, frozen=True, kw_only=True):
    """How a router reaches the shards. Times are in seconds."""

    linger: float = 0.0
    """While traffic is dense, a frame to a shard may wait so long for company."""
    retry_after: float = 0.2
    """A command without an owner is tried again after so long, or when the table changes."""
    pending: int = 100_000
    """So many commands may be unanswered in all; then new ones are turned away."""


class OwnershipTiming(Struct, frozen=True, kw_only=True):
    """When the coordinator acts. Times are in seconds; none of them is needed for safety."""

    beat: float = 0.25
    """A shard says so often that it lives."""
    silence: float = 1.5
    """A shard that is silent for so long is taken over from, and then killed."""
    gather: float = 3.0
    """A new coordinator waits so long after the last newcomer for shards that are still missing."""
    settle: float = 2.0
    """A newcomer gets its share after so long, so that one that dies again moves nothing."""
    calm: float = 2.0
    """A shard that ended starts anew when the others have served its games for so long."""
    hand_off: float = 5.0
    """An owner that hasn't given a partition up after so long is taken over from."""
    opening: float = 30.0
    """A new owner that doesn't serve after so long counts as failed."""
    hand_offs: int = 4
    """So many partitions are handed over in order at a time."""
    kill_hung: bool = True
    """Whether a process that hangs is killed, for Ray to start it again."""


class NodeHealth(Struct, frozen=True, kw_only=True):
    """How Ray's head looks after the other machines. Times are in seconds.

    Ray's own defaults notice a silent machine after a minute; these after two seconds.
    """

    period: float = 0.25
    timeout: float = 0.5
    failures: int = 3

    def system_config(self) -> dict[str, int]:
        """Return the words of Ray's `_system_config`."""
        return {
            "health_check_initial_delay_ms": 0,
            "health_check_period_ms": int(self.period * 1000),
            "health_check_timeout_ms": int(self.timeout * 1000),
            "health_check_failure_threshold": self.failures,
        }


class RaySettings(Struct, frozen=True, kw_only=True):
    """Which Ray the services run in, and on which of its machines."""

    address: str = ""
    """HOST:PORT of a Ray that runs already, on this machine as well; empty: one of our own."""
    gateways_on: str = ""
    """Each gateway takes one of this resource, which Ray's nodes were started with; empty: none."""
    shards_on: str = ""
    """Each shard takes one of this resource."""
