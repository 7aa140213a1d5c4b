"""From due times and answers to each game's gap, each partition's silence, and a round's figures."""

import math
from random import Random

import pytest

from bench.aftermath import figures, measure, rows
from bench.gaps import Gaps, Window, gaps_in, percentile, silences
from bench.ledger import Answer, Evidence, Happening
from bench.partitions import partition_of
from bench.saboteur import Round
from runtime.partitions import partition_of as servers_partition_of

WINDOW = Window(10.0, 20.0)


def test_a_bench_finds_the_partition_that_the_server_finds() -> None:
    """For ids of any length both reckon alike."""
    random = Random(1)
    for length in range(40):
        game = "".join(random.choices("abcXYZ-_09é", k=length))
        assert partition_of(game, 13) == servers_partition_of(game, 13)


@pytest.mark.parametrize(
    ("answer", "gap"),
    [
        pytest.param(Answer(8, 9, "g"), None, id="all over before"),
        pytest.param(Answer(9, 12, "g"), 3, id="under way at the blow"),
        pytest.param(Answer(12, 15, "g"), 3, id="due after the blow"),
        pytest.param(Answer(19, 27, "g"), 8, id="answered after the window"),
        pytest.param(Answer(20, 21, "g"), None, id="due after the window"),
    ],
)
def test_a_gap_is_from_due_to_event(answer: Answer, gap: float | None) -> None:
    """Every command that was due or unanswered in the window counts, whole."""
    assert gaps_in(WINDOW, [answer], []).get("g") == gap


def test_the_slowest_command_is_the_gap() -> None:
    """A game that had many commands has the gap of the worst one; what never came is the worst."""
    answers = [Answer(11, 11.1, "a"), Answer(11, 13, "a"), Answer(14, 14.2, "a")]
    assert gaps_in(WINDOW, answers, []) == {"a": 2}
    assert gaps_in(WINDOW, answers, [(12, "a")]) == {"a": math.inf}
    assert gaps_in(WINDOW, answers, [(21, "a")]) == {"a": 2}


def test_percentiles_are_of_games() -> None:
    """The p99 of 200 games is the 198th; one that was never answered shows as such."""
    ordered = [float(n) for n in range(1, 201)]
    assert percentile(ordered, 99) == 198
    assert percentile(ordered, 50) == 100
    assert percentile([5.0], 1) == 5
    assert Gaps([0.002, 0.001]).summary() == {
        "games": 2, "p50": 1.0, "p99": 2.0, "max": 2.0, "never": 0,
    }  # fmt: skip
    assert Gaps([0.001, math.inf]).summary() == {
        "games": 2, "p50": 1.0, "p99": None, "max": None, "never": 1,
    }  # fmt: skip
    assert Gaps([]).summary()["p99"] is None


def test_a_partition_is_silent_until_it_answers_what_was_due_after_the_blow() -> None:
    """An event of a command from before the blow doesn't end the silence; nothing at all is for ever."""
    partitions = {"a": 0, "b": 0, "c": 1, "d": 2}
    answers = [Answer(9.9, 10.1, "a"), Answer(13, 13.5, "b"), Answer(10.2, 14, "a")]
    answers.append(Answer(11, 11.2, "d"))
    assert silences(WINDOW, answers, partitions, [0, 1]) == {0: 3.5, 1: math.inf}


def evidence() -> tuple[Evidence, Round]:
    """Three games: one of the hit partition, one whose socket was lost, one of neither."""
    hit = next(f"h{n}" for n in range(99) if partition_of(f"h{n}", 2) == 1)
    cut, other = [f"o{n}" for n in range(99) if partition_of(f"o{n}", 2) == 0][:2]
    found = Evidence(begun={hit: (0, 0, 1), cut: (0, 2, 3), other: (0, 4, 5)})
    found.answers = [Answer(11, 15, hit), Answer(11, 12, cut), Answer(11, 11.5, other)]
    found.happenings = [
        Happening(10.5, 3, "lost"), Happening(10.6, 3, "back"),
        Happening(9.0, 5, "lost"), Happening(12, 0, "unavailable"),
    ]  # fmt: skip
    return found, Round("shard-kill", window=WINDOW, partitions={1})


def test_games_are_told_apart_by_what_hit_them() -> None:
    """Hit partitions, lost sockets and the rest have figures of their own; others' troubles don't count."""
    found, one = evidence()
    (measured,) = measure([one], found, 2)
    gaps = {name: each.seconds for name, each in measured.gaps.items()}
    assert gaps == {"hit": [4], "cut off": [1], "others": [0.5], "all": [4, 1, 0.5]}
    assert (measured.reopened, dict(measured.errors)) == (1, {"unavailable": 1})
    assert measured.silence == [5]
    assert measured.slowest == [4]
    assert measured.summary()["gap_ms"]["hit"]["max"] == 4000


def test_a_game_made_late_has_no_part_in_the_gaps() -> None:
    """A command that waited for its game to be made is shown apart, not as that game's gap."""
    found, one = evidence()
    found.begun["late"] = (14.0, 0, 1)
    found.answers.append(Answer(12, 14.5, "late"))
    (measured,) = measure([one], found, 2)
    assert sorted(measured.gaps["all"].seconds) == [0.5, 1, 4]
    assert measured.late == [2.5]


def test_a_partition_is_as_slow_as_the_slowest_of_its_games() -> None:
    """Of all games of a hit partition the longest gap counts, and none of another partition's."""
    found, one = evidence()
    quick, slow = [f"h{n}" for n in range(99) if partition_of(f"h{n}", 2) == 1][1:3]
    found.begun |= {quick: (0, 0, 1), slow: (0, 4, 5)}
    found.answers += [Answer(11, 11.1, quick), Answer(11, 18, slow), Answer(12, 12.1, slow)]
    (measured,) = measure([one], found, 2)
    assert measured.slowest == [7]
    assert figures([measured])["partition_slowest_ms"]["max"] == 7000


def test_rounds_of_a_kind_are_pooled() -> None:
    """Two rounds of the same fault give one distribution; a round that hit nobody gives none."""
    found, one = evidence()
    again = Round("shard-kill", window=WINDOW, partitions={0})
    nobody = Round("node-kill", failed=True)
    measured = measure([one, again, nobody], found, 2)
    assert figures(measured[:2])["gap_ms"]["hit"]["games"] == 3
    table = rows(measured)
    assert {row[0] for row in table} == {"shard-kill x2"}
    assert ("shard-kill x2", "games, all", 6, "1,000.0", "4,000.0", "4,000.0", "0") in [
        (*row[:2], int(str(row[2])), *row[3:]) for row in table
    ]


def test_an_operators_command_has_no_silence() -> None:
    """A command hits no moment, so no partition is silent from it on; gaps are as ever."""
    found, one = evidence()
    one.planned = True
    (measured,) = measure([one], found, 2)
    assert measured.silence == []
    assert measured.gaps["hit"].seconds == [4]
