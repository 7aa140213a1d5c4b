"""Which version of each game's format is written: the newest that every member can read.

Whoever reads what others write is a *member*: a shard takes games over, a gateway shows them. Each
*offers*, for every kind of game it has, the versions that it can write; it reads all up to the
newest of these.

    offers ──▶ `next` ──▶ stored ──▶ `confirm` ──▶ told to the shards, which write it

It's safe whoever comes and goes: a version is in the store before anybody writes it, and an owner
reads the store after its claim. So it knows of every version that its partition may hold, and if it
can't read one, it doesn't open. Membership only says *when* a version rises: once everybody who
belongs to the cluster is there and can read it. Until then the newer programs can be replaced by
the older ones again. It never falls.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import Struct

from actors.behaviour import Behaviour, Versioned
from persistence.log import LogError
from runtime.told import Told

Formats = Mapping[str, int]
"""Kind -> the version that is written; a kind that isn't in it has no games yet."""


class Offer(Told, Struct, frozen=True, array_like=True):
    """The versions of one kind that a member can write; it reads all up to `newest`."""

    oldest: int
    newest: int


Offers = Mapping[str, Offer]


class Unfit(LogError):  # noqa: N818  (what it is)
    """Others may have written what this process can't read, or read only what it can't write."""


def versions(behaviour: Behaviour) -> range:
    """Return the versions that a behaviour can write.

    Raises:
        ValueError: If they aren't one or more successive positive numbers.
    """
    if not isinstance(behaviour, Versioned):
        return range(1, 2)
    found = list(behaviour.versions)
    if not found or found[0] < 1 or found != list(range(found[0], found[-1] + 1)):
        raise ValueError(f"the behaviour {behaviour.kind!r} has the versions {found}")
    return range(found[0], found[-1] + 1)


def offers(behaviours: Mapping[str, Behaviour]) -> Offers:
    """Return what a process with these behaviours offers."""
    found = {kind: versions(behaviour) for kind, behaviour in behaviours.items()}
    return {kind: Offer(each[0], each[-1]) for kind, each in found.items()}


def refusal(formats: Formats, offers: Offers) -> str:
    """Return why whoever offers this can't take part; empty if it can.

    Who lacks a kind can take part: there, games of that kind can't be had, as ever.
    """
    for kind, offer in sorted(offers.items()):
        version = formats.get(kind, offer.oldest)
        if version > offer.newest:
            return (
                f"it reads {kind} up to version {offer.newest}, but version {version} is written."
                f" Install a {kind} that reads version {version}"
            )
        if version < offer.oldest:
            return (
                f"it writes {kind} from version {offer.oldest} on, but others read only version"
                f" {version}. First install one everywhere that writes version {version}, too,"
                " or upgrade all at once"
            )
    return ""


class Agreement:
    """What the coordinator has decided about formats. No I/O: `next` says what is to be stored."""

    def __init__(self, stored: Formats) -> None:
        """Begin with what the store holds."""
        self.formats = dict(stored)
        """What is known to be stored: it may be told, and written."""
        self._decided = dict(stored)

    def refusal(self, offers: Offers) -> str:
        """Return why a member can't take part; empty if it can."""
        return refusal(self._decided, offers)

    def fit(self, offers: Offers) -> bool:
        """Whether a shard may be given partitions: something is agreed, and it can keep to it."""
        return bool(self.formats or not offers) and not self.refusal(offers)

    def next(self, members: Mapping[str, Offers], missing: Collection[str]) -> Formats | None:
        """Return what is to be stored now, if anything; tell `confirm` once it is.

        From now on nobody is let in who can't read it, however long the store takes.

        Args:
            members: What everybody who is there offers.
            missing: Who belongs to the cluster and isn't there: nobody knows what it will read.
        """
        founding = not self._decided
        for kind in {kind for offers in members.values() for kind in offers}:
            have = [offers[kind] for offers in members.values() if kind in offers]
            if founding:
                self._decided[kind] = min(offer.oldest for offer in have)
            if not missing and len(have) == len(members):
                newest = min(offer.newest for offer in have)
                self._decided[kind] = max(newest, self._decided.get(kind, 0))
        return dict(self._decided) if self._decided != self.formats else None

    def confirm(self, formats: Formats) -> None:
        """Take note that `formats` are stored."""
        self.formats = dict(formats)

    def report(
        self, members: Mapping[str, Offers], missing: Collection[str]
    ) -> dict[str, dict[str, object]]:
        """Return, for operators, what is written of each kind, and who keeps it from rising."""
        kinds = {kind for offers in members.values() for kind in offers} | self.formats.keys()
        lines: dict[str, dict[str, object]] = {}
        for kind in sorted(kinds):
            reads = {name: o[kind].newest if kind in o else 0 for name, o in members.items()}
            version = self.formats.get(kind, 0)
            newest = max(version, *reads.values(), 0)
            behind = {name for name, reads in reads.items() if reads < newest}
            waits_for = sorted(behind | set(missing)) if newest > version else []
            lines[kind] = {"version": version, "newest": newest, "waits_for": waits_for}
        return lines
