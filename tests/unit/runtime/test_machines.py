"""Which machine a new shard begins on."""

from runtime.machines import Machine, roomiest

SMALL, LARGE, HEAD = Machine("small", 2.0), Machine("large", 4.0), Machine("head", 0.0)


def placed(machines, count: int, **more) -> list[str]:
    """Place so many shards, one after another."""
    taken: list[str] = []
    for _ in range(count):
        taken.append(roomiest(machines, taken, **more))
    return taken


def test_shards_are_spread_by_the_machines_cpus():
    """Each goes where the fewest are for the CPUs that are there."""
    assert sorted(placed([SMALL, LARGE], 6)) == ["large"] * 4 + ["small"] * 2
    alike = [Machine(name, 1.0) for name in "abc"]
    assert placed(alike, 3) == ["a", "b", "c"]


def test_a_machine_without_cpus_is_for_others():
    """A head that shall run nothing gets a shard only if there's no other machine."""
    assert placed([HEAD, SMALL], 2) == ["small", "small"]
    assert placed([HEAD, Machine("other", 0.0)], 2) == ["head", "other"]


def test_with_one_machine_there_is_nothing_to_choose():
    """Ray does as it likes, also when only one machine has what is needed, or none."""
    assert roomiest([SMALL], []) == ""
    equipped = Machine("equipped", 2.0, ("shards",))
    assert roomiest([SMALL, LARGE, equipped], [], "shards") == ""
    assert roomiest([SMALL, LARGE], [], "shards") == ""
    assert placed([SMALL, equipped, Machine("z", 2.0, ("shards",))], 2, resource="shards") == [
        "equipped",
        "z",
    ]
