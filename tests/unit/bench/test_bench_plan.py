"""A run of `bench faults` is decided by its seed and its number alone."""

from bench.faults.kinds import read_faults
from bench.faults.plan import chance, fault_of

FAULTS = read_faults("shard-kill,kafka-stop,gateway-kill+shard-kill,postgres-slow")


def planned(seed: int, first: int, count: int) -> list[str]:
    return [str(fault_of(number, FAULTS, seed)) for number in range(first, first + count)]


def test_a_run_is_the_same_wherever_a_command_begins() -> None:
    """Runs 30 to 39 are those of a command that begins at 30, and of one that begins at 1."""
    assert planned(7, 1, 40)[29:] == planned(7, 30, 11)
    assert chance(30, 7).random() == chance(30, 7).random()
    assert len({chance(number, 7).random() for number in range(40)}) == 40


def test_every_fault_has_its_turn() -> None:
    """As often as the list is gone through each is done once, not always in the same order."""
    whole = planned(7, 1, 40)
    turns = [whole[at : at + len(FAULTS)] for at in range(0, 40, len(FAULTS))]
    assert all(sorted(turn) == sorted(map(str, FAULTS)) for turn in turns)
    assert len(set(map(tuple, turns))) > 1
    assert planned(8, 1, 40) != whole
