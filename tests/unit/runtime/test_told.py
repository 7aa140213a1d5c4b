"""What services tell each other, read by older and newer programs."""

import pickle

import pytest
from msgspec import Struct

from runtime.coordinator import Standing
from runtime.formats import Offer
from runtime.host import Process
from runtime.operations import Progress
from runtime.orders import Beat
from runtime.table import Route, RoutingTable
from runtime.told import Told, heard

HERE = Process("node", 7)
TOLD = [
    HERE,
    Offer(1, 2),
    Beat("shard-0", "shard-0/a", ("127.0.0.1", 1), "node", 7, [(0, 1)], {"lag_ms": 1.0}),
    Standing([(0, 1)], HERE, 5, {"chess": 1}, "too old"),
    RoutingTable(5, [Route(0, 1, "shard-0", ("127.0.0.1", 1))]),
    Progress("restart", left=3),
]


@pytest.mark.parametrize("told", TOLD, ids=lambda told: type(told).__name__)
def test_it_arrives_as_it_was_told(told):
    """Between programs of one version nothing changes."""
    assert pickle.loads(pickle.dumps(told)) == told


@pytest.mark.parametrize("told", TOLD, ids=lambda told: type(told).__name__)
def test_what_a_newer_program_says_more_is_passed_over(told):
    """A field that this program doesn't know harms nothing."""
    _, (kind, said) = told.__reduce__()
    assert heard(kind, {**said, "a field of the next release": 1}) == told


class Report(Told, Struct):
    """A message whose last field is newer than its first."""

    name: str
    heat: float = 0.5


def test_what_an_older_program_does_not_say_has_its_default():
    """A field that was added later is as if nobody had anything to say of it."""
    assert heard(Report, {"name": "a"}) == Report("a", 0.5)
