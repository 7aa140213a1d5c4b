"""The coordinator's decisions alone: a world of shards that does at once what it's told."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persistence.assignments import Assignment
from runtime.formats import Agreement, Offer, Offers
from runtime.orders import Assign, Beat, Kill, Open, Release
from runtime.ownership import Ownership
from runtime.plan import Plan
from runtime.ring import place
from runtime.settings import OwnershipTiming

PARTITIONS = 16
TIMING = OwnershipTiming()


class World:
    """Shards that beat, serve and release as they're asked, unless they're stopped or dead."""

    def __init__(self, shards: int) -> None:
        self.now = 0.0
        self.rows = [Assignment(p, 0, "") for p in range(PARTITIONS)]
        self.lives: dict[str, int] = {}
        self.serving: dict[str, dict[int, int]] = {}
        self.stopped: set[str] = set()
        self.offers: dict[str, Offers] = {}
        self.did: list[object] = []
        self.term = 0
        self.plan = Plan().scaled(shards)
        self.begin()
        for number in range(shards):
            self.start(f"shard-{number}")

    def begin(self) -> None:
        """A coordinator begins, and knows only what the store holds."""
        self.term += 1
        self.ownership = Ownership(self.rows, self.plan, TIMING, self.term, self.now)

    def start(self, name: str) -> str:
        """A new life of a shard."""
        self.lives[name] = self.lives.get(name, 0) + 1
        self.serving.pop(self._incarnation(name, self.lives[name] - 1), None)
        incarnation = self._incarnation(name, self.lives[name])
        self.serving[incarnation] = {}
        return incarnation

    @staticmethod
    def _incarnation(name: str, life: int) -> str:
        return f"{name}/{life}"

    def incarnation(self, name: str) -> str:
        return self._incarnation(name, self.lives[name])

    def kill(self, name: str, *, told: bool = True) -> None:
        incarnation = self.incarnation(name)
        del self.serving[incarnation]
        if told:
            self.ownership.gone(incarnation)

    def replan(self, plan: Plan) -> None:
        self.plan = self.ownership.plan = plan

    def beat(self) -> None:
        for incarnation, serving in self.serving.items():
            if incarnation not in self.stopped:
                name = incarnation.partition("/")[0]
                held = list(serving.items())
                offers = self.offers.get(name, {})
                beat = Beat(name, incarnation, (name, 1), "node", 1, held, {}, offers)
                for partition, _ in self.ownership.beat(self.now, beat):
                    serving.pop(partition, None)

    def turn(self, seconds: float = 0.1) -> list[object]:
        """Time passes; everybody beats; whatever is decided is done."""
        self.now += seconds
        self.beat()
        return self.act()

    def act(self) -> list[object]:
        """Do what is decided until nothing is; return all of it."""
        done: list[object] = []
        while actions := self.ownership.step(self.now):
            done += actions
            for action in actions:
                self._do(action)
        self.did += done
        return done

    def _do(self, action: object) -> None:
        match action:
            case Release(partition, epoch, owner):
                if owner not in self.stopped:
                    self.serving.get(owner, {}).pop(partition, None)
                    self.ownership.released(partition, epoch)
            case Assign(partition, owner, expected):
                row = self.rows[partition]
                if row.epoch == expected:
                    self.rows[partition] = row = Assignment(partition, expected + 1, owner)
                    self.ownership.assigned(row)
                else:
                    self.ownership.found(row)
            case Open(partition, epoch, owner):
                if owner in self.stopped:
                    return
                here = owner in self.serving
                if here:
                    self.serving[owner][partition] = epoch
                self.ownership.opened(partition, epoch, done=here)
            case Kill(beat):
                self.serving.pop(beat.incarnation, None)
                self.ownership.gone(beat.incarnation)

    def settle(self, seconds: float = 10.0) -> None:
        until = self.now + seconds
        while self.now < until:
            self.turn()
            if self.settled():
                return
        raise AssertionError(f"not settled after {seconds} s: {self.ownership.unsettled}")

    def settled(self) -> bool:
        return not self.ownership.unsettled and self.routed() == self.owners()

    def owners(self) -> list[str]:
        return [row.owner for row in self.rows]

    def routed(self) -> list[str]:
        """Whom the routing table names, as far as they serve under that very epoch."""
        return [
            self.incarnation(route.shard)
            if route.address
            and self.serving.get(self.incarnation(route.shard), {}).get(route.partition)
            == route.epoch
            else ""
            for route in self.ownership.table.routes
        ]


def test_a_cluster_begins_as_the_ring_says():
    """All partitions are opened once, at epoch 1, where the ring wants them."""
    world = World(3)
    world.settle()
    assert {row.epoch for row in world.rows} == {1}
    wanted = place(PARTITIONS, {f"shard-{n}": 1.0 for n in range(3)})
    assert world.owners() == [f"{name}/1" for name in wanted]
    assert not [action for action in world.did if isinstance(action, Release | Kill)]


def test_the_partitions_of_a_dead_shard_go_to_the_living_at_once():
    """No time passes, and nobody is asked to release them.

    The bound grows as a shard leaves, so the ring may take a living shard's partition back: in order.
    """
    world = World(3)
    world.settle()
    before = world.owners()
    world.kill("shard-1")
    did = world.act()
    assert "shard-1/1" not in world.routed()
    assert all(world.routed())
    dead = {p for p, owner in enumerate(before) if owner == "shard-1/1"}
    released = {action.partition for action in did if isinstance(action, Release)}
    assert {action.partition for action in did if isinstance(action, Assign)} == dead | released
    assert not dead & released


@pytest.mark.parametrize("later", [0.8, 2.5])
def test_shards_that_come_one_after_the_other_get_their_shares_together(later):
    """From two to four shards no partition moves twice, and only those that the ring of four moves."""
    world = World(2)
    world.settle()
    before = world.owners()
    world.replan(world.plan.scaled(4))
    world.start("shard-2")
    came = world.now
    while world.now < came + later:
        assert not world.turn()
    world.start("shard-3")
    while not world.turn():
        pass
    world.settle()
    wanted = place(PARTITIONS, {f"shard-{n}": 1.0 for n in range(4)})
    assert world.owners() == [f"{name}/1" for name in wanted]
    moved = {row.partition for row in world.rows if row.epoch > 1}
    assert moved == {p for p in range(PARTITIONS) if world.owners()[p] != before[p]}
    assert max(row.epoch for row in world.rows) == 2


def test_a_shard_that_never_comes_keeps_nobody_from_its_share():
    """Who is there gets a share after the patience with those who are missing, not later."""
    world = World(2)
    world.settle()
    world.replan(world.plan.scaled(4))
    world.start("shard-2")
    came = world.now
    while not world.turn():
        assert world.now < came + TIMING.gather + TIMING.settle
    world.settle()
    assert "shard-2/1" in world.owners()


def test_a_shard_that_returns_gets_its_share_back_after_a_while_and_in_order():
    """A newcomer waits, then each partition is released before it's assigned."""
    world = World(2)
    world.settle()
    before = world.owners()
    world.kill("shard-1")
    world.act()
    world.start("shard-1")
    assert not world.turn()
    world.now += 0.0
    while not (did := world.turn()):
        pass
    assert world.now > TIMING.settle
    world.settle()
    assert [owner.partition("/")[0] for owner in world.owners()] == [
        owner.partition("/")[0] for owner in before
    ]
    assert isinstance(did[0], Release)


def test_a_hung_shard_is_taken_over_from_and_then_killed():
    """Its partitions are served elsewhere before its process is ended."""
    world = World(2)
    world.settle()
    world.stopped.add("shard-0/1")
    while not (did := world.turn()):
        pass
    assert TIMING.silence <= world.now - 0.1 <= TIMING.silence + 1.0
    kinds = [type(action) for action in did]
    assert kinds[-1] is Kill
    assert kinds.index(Kill) > max(i for i, kind in enumerate(kinds) if kind is Open)
    assert "shard-0/1" not in world.routed()


def test_a_pause_of_the_coordinator_is_nobodys_silence():
    """A coordinator that stood still for a minute takes nothing from anybody."""
    world = World(2)
    world.settle()
    world.now += 60.0
    assert not world.act()
    assert not world.turn()


def test_a_new_coordinator_moves_nothing_that_is_served():
    """What the store says, and the shards' beats confirm, stays where it is."""
    world = World(3)
    world.settle()
    rows = list(world.rows)
    version = world.ownership.table.version
    world.begin()
    world.settle()
    assert world.rows == rows
    assert world.ownership.table.version > version


def test_a_new_coordinator_finds_a_shard_that_died_before_it_began():
    """An owner that was never heard is taken over from once it had time to speak."""
    world = World(3)
    world.settle()
    world.kill("shard-2", told=False)
    world.begin()
    world.settle()
    assert all(world.routed())
    assert "shard-2/1" not in world.owners()


def test_an_epoch_that_fails_to_open_is_never_tried_again():
    """After a failed (or lost) open the partition gets another epoch."""
    world = World(1)
    opened: list[tuple[int, int]] = []
    refuse = {1, 2}

    def do(action: object) -> None:
        if isinstance(action, Open):
            opened.append((action.partition, action.epoch))
            if action.epoch in refuse:
                world.ownership.opened(action.partition, action.epoch, done=False)
                return
        World._do(world, action)

    world._do = do
    world.settle()
    assert len(opened) == len(set(opened)) == 3 * PARTITIONS
    assert {row.epoch for row in world.rows} == {3}


def test_a_lost_compare_and_set_is_not_an_owner():
    """Whoever else raised the epoch is believed; then it's our turn at the next one."""
    world = World(1)
    world.rows = [Assignment(p, 7, "shard-9/1") for p in range(PARTITIONS)]
    world.settle()
    assert {(row.epoch, row.owner) for row in world.rows} == {(8, "shard-0/1")}


def test_a_beat_tells_a_shard_what_it_lost():
    """A zombie that wakes up is told which partitions have another owner; its beats change nothing."""
    world = World(2)
    world.settle()
    world.stopped.add("shard-0/1")
    mine = dict(world.serving["shard-0/1"])
    world.ownership._timing = OwnershipTiming(kill_hung=False)
    while world.turn() == [] or "shard-0/1" in world.owners():
        pass
    assert world.serving["shard-0/1"] == mine
    rows = list(world.rows)
    world.stopped.clear()
    world.beat()
    assert not world.serving["shard-0/1"]
    world.act()
    assert [r.epoch for r in world.rows] >= [r.epoch for r in rows]
    world.settle()


def test_draining_weights_and_pins_decide_where_partitions_go():
    """A draining shard is emptied, a light one holds little, a pinned partition stays where it is."""
    world = World(3)
    world.settle()
    world.replan(world.plan.drained("shard-0"))
    world.settle()
    assert not world.ownership.holdings("shard-0")
    world.replan(world.plan.drained("shard-0", draining=False).weighed("shard-0", 0.1))
    world.settle()
    assert 0 < world.ownership.holdings("shard-0") <= 2
    world.replan(world.plan.pinned(5, "shard-0").pinned(6, "shard-0"))
    world.settle()
    assert {world.owners()[5], world.owners()[6]} == {"shard-0/1"}
    world.kill("shard-0")
    world.act()
    assert all(world.routed())


def test_a_shard_that_has_left_the_plan_is_emptied():
    """Scaling down moves the leavers' partitions in order, and nobody else's but what the ring asks."""
    world = World(4)
    world.settle()
    world.replan(world.plan.scaled(2))
    world.settle()
    assert not world.ownership.holdings("shard-2")
    assert not world.ownership.holdings("shard-3")
    assert [a for a in world.did if isinstance(a, Release)]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_growth_moves_only_what_the_ring_moves(count):
    """A partition that belongs where it is isn't touched."""
    world = World(count)
    world.settle()
    before = world.owners()
    world.replan(world.plan.scaled(count + 1))
    world.start(f"shard-{count}")
    world.turn()
    world.settle()
    wanted = place(PARTITIONS, {f"shard-{n}": 1.0 for n in range(count + 1)})
    moved = [p for p in range(PARTITIONS) if world.owners()[p] != before[p]]
    assert moved == [p for p in range(PARTITIONS) if wanted[p] != before[p].partition("/")[0]]


def disturb(world: World, random: Random) -> None:
    """One thing happens to one shard, to the coordinator, or to nobody."""
    name = random.choice(sorted(world.lives))
    alive = world.incarnation(name) in world.serving
    match random.randrange(7):
        case 0 if alive:
            world.kill(name, told=random.random() < 0.5)
        case 1 if not alive:
            world.start(name)
        case 2 if alive:
            world.stopped.add(world.incarnation(name))
        case 3:
            world.stopped.clear()
        case 4:
            world.begin()
        case 5:
            world.replan(world.plan.drained(name, draining=random.random() < 0.5))
        case _:
            pass


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_happens_everything_is_served_in_the_end(seed):
    """Crashes, hangs, new coordinators and operators in any order: epochs only grow, one owner each."""
    random = Random(seed)
    world = World(random.randint(1, 4))
    for _ in range(random.randint(1, 25)):
        disturb(world, random)
        epochs = [row.epoch for row in world.rows]
        for _ in range(random.randint(1, 30)):
            world.turn(random.choice([0.05, 0.1, 0.25, 3.0]))
        assert all(now.epoch >= then for now, then in zip(world.rows, epochs, strict=True))
    world.stopped.clear()
    for name in world.lives:
        if world.incarnation(name) not in world.serving:
            world.start(name)
    world.settle(60.0)
    assert all(world.routed())
    for row in world.rows:
        serving = [i for i, s in world.serving.items() if s.get(row.partition) == row.epoch]
        assert serving == [row.owner]


def test_a_shard_that_cannot_read_what_is_written_gets_nothing():
    """An old program that comes back is told from the others, and the others have all."""
    world = World(3)
    world.offers = {f"shard-{n}": {"nim": Offer(1, 2)} for n in range(3)}
    world.ownership.agreement = Agreement({"nim": 2})
    world.settle()
    world.kill("shard-1")
    world.offers["shard-1"] = {"nim": Offer(1, 1)}
    world.start("shard-1")
    world.settle()
    assert set(world.owners()) == {"shard-0/1", "shard-2/1"}
    states = {beat.name: state for beat, state in world.ownership.members()}
    assert states == {"shard-0": "serving", "shard-1": "refused", "shard-2": "serving"}


def test_a_shard_that_has_been_overtaken_gives_its_partitions_up_in_order():
    """A coordinator that began anew finds an old program serving what others may have changed."""
    world = World(2)
    world.offers = {"shard-0": {"nim": Offer(1, 2)}, "shard-1": {"nim": Offer(1, 1)}}
    world.ownership.agreement = Agreement({"nim": 1})
    world.settle()
    held = world.owners().count("shard-1/1")
    assert 0 < held < PARTITIONS
    world.begin()
    world.ownership.agreement = Agreement({"nim": 2})
    world.did.clear()
    world.settle()
    assert set(world.owners()) == {"shard-0/1"}
    assert sum(isinstance(action, Release) for action in world.did) == held


def test_if_no_shard_can_read_what_is_written_nobody_serves():
    """Not even when nobody else is left."""
    world = World(1)
    world.offers = {"shard-0": {"nim": Offer(1, 1)}}
    world.ownership.agreement = Agreement({"nim": 2})
    for _ in range(100):
        assert not world.turn()
    assert world.ownership.unsettled == PARTITIONS


def test_a_shard_that_died_comes_back_when_the_others_have_served_its_games_for_a_while():
    """Till then it would take the CPU from those who take them over."""
    world = World(3)
    for _ in range(80):
        world.turn()
    assert world.ownership.calm("shard-1")
    world.kill("shard-1")
    assert not world.ownership.calm("shard-1")  # nothing was decided yet
    for _ in range(10):
        world.turn()
    assert all(route.address for route in world.ownership.table.routes)
    assert not world.ownership.calm("shard-1")
    for _ in range(20):
        world.turn()
    assert world.ownership.calm("shard-1")


def test_the_only_shard_comes_back_at_once():
    """Nobody else serves its games, and nobody can be disturbed."""
    world = World(1)
    for _ in range(80):
        world.turn()
    world.kill("shard-0")
    assert world.ownership.calm("shard-0")
    for _ in range(10):
        world.turn()
    assert world.ownership.calm("shard-0")


def test_a_shard_whose_games_nobody_else_can_take_comes_back_at_once():
    """The others of another version live, but wait as its players do."""
    world = World(2)
    world.offers = {"shard-0": {"nim": Offer(1, 2)}, "shard-1": {"nim": Offer(1, 1)}}
    world.ownership.agreement = Agreement({"nim": 2})
    for _ in range(80):
        world.turn()
    world.kill("shard-0")
    world.turn()
    assert world.ownership.calm("shard-0")
