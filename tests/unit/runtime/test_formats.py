"""Which version is written, and who takes part: the pure part of mixed versions."""

from random import Random
from types import SimpleNamespace

import nim_game
import nim_two
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tally_game import behaviour as tally

from runtime.behaviours import Kind
from runtime.formats import Agreement, Offer, offers, refusal, versions

SHARDS = ("shard-0", "shard-1", "shard-2")
EVERYBODY = (*SHARDS, "gateway-0")
NEWEST = 4


def tally_of(oldest: int, newest: int) -> SimpleNamespace:
    """The tally game of a program that writes these versions."""
    return SimpleNamespace(**{**vars(tally), "versions": range(oldest, newest + 1)})


class Member:
    """One life of a process."""

    def __init__(self, oldest: int, newest: int) -> None:
        behaviour = tally_of(oldest, newest)
        self.kind = Kind(behaviour)
        self.offers = offers({"tally": behaviour})
        self.newest = newest
        self.admitted = False


class Cluster:
    """Members of any versions that come and go, owners that write, and a store that answers late.

    Attributes:
        stored: What the store holds.
        under_way: (term, formats) that may land yet.
        heard: What the coordinator believes that members offer, perhaps of an earlier life.
        held: Partition -> the newest version in it.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.stored: dict[str, int] = {}
        self.under_way: list[tuple[int, dict[str, int]]] = []
        self.members: dict[str, Member] = {}
        self.owners: dict[int, str] = {}
        self.held = dict.fromkeys(range(4), 0)
        self.term = 0
        self.begin()

    # --- what happens ------------------------------------------------------------------------

    def begin(self) -> None:
        """A coordinator begins, and knows only what is stored."""
        self.term += 1
        self.agreement = Agreement(self.stored)
        self.heard: dict[str, dict[str, Offer]] = {}

    def come(self) -> None:
        """A process starts anew, with whatever version is installed by then."""
        oldest = self.random.randint(1, NEWEST)
        self.start(self.random.choice(EVERYBODY), oldest, self.random.randint(oldest, NEWEST))

    def start(self, name: str, oldest: int, newest: int) -> None:
        self.members[name] = Member(oldest, newest)
        self.owners = {p: owner for p, owner in self.owners.items() if owner != name}

    def beat(self, name: str | None = None) -> None:
        """A member is heard, and hears."""
        name = name or self.random.choice(EVERYBODY)
        member = self.members.get(name)
        if member is not None:
            self.heard[name] = member.offers
            if self.agreement.formats:
                member.kind.agree(self.agreement.formats["tally"])
            member.admitted = self.agreement.fit(member.offers)

    def decide(self) -> None:
        missing = set(EVERYBODY) - self.heard.keys()
        formats = self.agreement.next(self.heard, missing) if self.heard else None
        if formats is not None:
            self.under_way.append((self.term, dict(formats)))

    def land(self) -> None:
        """The store does what it was asked some time ago, and perhaps the answer arrives."""
        if self.under_way:
            term, formats = self.under_way.pop(self.random.randrange(len(self.under_way)))
            if term == self.term:
                self.stored = {k: max(v, self.stored.get(k, 0)) for k, v in formats.items()}
                if self.random.random() < 0.7:
                    self.agreement.confirm(formats)

    def open(self) -> None:
        """A shard is given a partition, whatever a coordinator knew of it."""
        partition, name = self.random.randrange(4), self.random.choice(SHARDS)
        member = self.members.get(name)
        if member is None or not self.stored:
            return
        self.owners.pop(partition, None)  # the claim: from here on the old owner writes no more
        if not refusal(self.stored, member.offers):
            member.kind.agree(self.stored["tally"])
            assert member.newest >= self.held[partition], "an owner can't read its partition"
            self.owners[partition] = name

    def write(self) -> None:
        """Every owner writes."""
        for partition, name in self.owners.items():
            version = self.members[name].kind.version
            assert version >= self.held[partition], "a newer game is written in an older version"
            self.held[partition] = version
            for other, member in self.members.items():
                assert version <= member.newest or not member.admitted, f"{other} can't read it"

    def happen(self, times: int) -> None:
        things = (self.beat, self.decide, self.land, self.open, self.write)
        for _ in range(times):
            chance = self.random.random()
            if chance < 0.04:
                self.come()
            elif chance < 0.06:
                self.begin()
            else:
                self.random.choice(things)()


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_nothing_is_written_that_a_member_cannot_read(seed):
    """Whoever comes, goes, restarts or answers late; and once all read the newest, it's written."""
    cluster = Cluster(Random(seed))
    cluster.happen(300)
    for name in EVERYBODY:
        cluster.start(name, 1, NEWEST)
    for _ in range(3):
        for name in EVERYBODY:
            cluster.beat(name)
        cluster.decide()
        while cluster.under_way:
            cluster.land()
            cluster.decide()
            cluster.write()
    cluster.open()
    for name in EVERYBODY:
        cluster.beat(name)
        assert cluster.members[name].admitted
        assert cluster.members[name].kind.version == NEWEST


def offer(oldest: int, newest: int) -> dict[str, Offer]:
    return {"nim": Offer(oldest, newest)}


def test_a_version_rises_once_everybody_is_there_and_reads_it():
    """Neither an absent member nor one that is behind is passed over."""
    agreement = Agreement({"nim": 1})
    new, old = offer(1, 2), offer(1, 1)
    assert agreement.next({"shard-0": new, "shard-1": old, "gateway-0": new}, ()) is None
    assert agreement.next({"shard-0": new, "gateway-0": new}, {"shard-1"}) is None
    assert not agreement.refusal(old)
    assert agreement.next({"shard-0": new, "shard-1": new, "gateway-0": new}, ()) == {"nim": 2}
    # Nothing is written yet, but it's decided: the store may have it already.
    assert agreement.formats == {"nim": 1}
    assert "version 2 is written" in agreement.refusal(old)
    agreement.confirm({"nim": 2})
    assert agreement.next({"shard-0": new, "shard-1": old, "gateway-0": new}, ()) is None
    assert agreement.formats == {"nim": 2}


def test_the_first_shard_founds_what_it_has():
    """Before that nobody is given partitions; a lone early one writes the oldest that it can."""
    agreement = Agreement({})
    assert not agreement.fit(offer(2, 3))
    assert agreement.fit({})
    assert agreement.next({"shard-0": offer(2, 3)}, {"shard-1"}) == {"nim": 2}
    assert not agreement.fit(offer(2, 3))
    agreement.confirm({"nim": 2})
    assert agreement.fit(offer(2, 3))
    assert agreement.fit(offer(1, 2))
    assert not agreement.fit(offer(1, 1))


def test_a_game_that_only_some_have_is_not_begun():
    """A kind rises from nothing as a version does; who lacks it takes part all the same."""
    agreement = Agreement({"chess": 1})
    both = {"chess": Offer(1, 1), "nim": Offer(1, 1)}
    chess = {"chess": Offer(1, 1)}
    assert agreement.next({"shard-0": both, "shard-1": chess}, ()) is None
    assert agreement.fit(both)
    assert agreement.next({"shard-0": both, "shard-1": both}, ()) == {"chess": 1, "nim": 1}
    assert not agreement.refusal(chess)


def test_a_program_that_skips_a_version_waits_until_all_are_of_its_kind():
    """It writes nothing that those of before can't read; all upgraded at once, they found it anew."""
    agreement = Agreement({"nim": 1})
    assert "writes nim from version 2 on" in agreement.refusal(offer(2, 3))
    assert agreement.next({"shard-0": offer(1, 1), "shard-1": offer(2, 3)}, ()) is None
    assert agreement.next({"shard-0": offer(2, 3), "shard-1": offer(2, 3)}, ()) == {"nim": 3}
    assert not agreement.refusal(offer(2, 3))


def test_operators_see_who_is_waited_for():
    """Whoever is behind or missing is named, as long as there's something to wait for."""
    agreement = Agreement({"nim": 1})
    members = {"shard-0": offer(1, 2), "shard-1": offer(1, 1), "shard-2": {}}
    assert agreement.report(members, {"gateway-0"}) == {
        "nim": {"version": 1, "newest": 2, "waits_for": ["gateway-0", "shard-1", "shard-2"]}
    }
    agreement.confirm({"nim": 2})
    assert agreement.report(members, {"gateway-0"})["nim"]["waits_for"] == []


def test_a_behaviour_says_nothing_of_versions_until_it_has_two():
    """The game in tests/nim is of version 1; its successor writes both."""
    assert offers({"nim": nim_game}) == {"nim": Offer(1, 1)}
    assert offers({"nim": nim_two}) == {"nim": Offer(1, 2)}
    assert (versions(nim_game), versions(nim_two)) == (range(1, 2), range(1, 3))


@pytest.mark.parametrize("wrong", [(), (0, 1), (1, 3), (2, 1), (1, 1)])
def test_impossible_versions_are_refused(wrong):
    """They are successive numbers from 1 on."""
    with pytest.raises(ValueError, match="has the versions"):
        versions(SimpleNamespace(**{**vars(tally), "versions": wrong}))


def test_what_is_agreed_never_falls_at_an_owner():
    """Old news changes nothing, and a version is held to what the program can write."""
    kind = Kind(nim_two)
    assert (kind.version, kind.agreed) == (2, None)
    for told, written in ((1, 1), (2, 2), (1, 2), (0, 2), (9, 2)):
        kind.agree(told)
        assert kind.version == written
    state = nim_two.Table2(3, ["ann"], [], version=2)
    assert nim_two.unpack(kind.pack(state)) == state
