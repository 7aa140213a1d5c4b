"""Every rule of the protocol matters: without it, the simulation finds what goes wrong."""

from __future__ import annotations

import pytest

from simulation import mutants
from simulation.system import simulate
from simulation.world import Defect, NotLive, Violation

MOST = 4_000
"""Seeds within which a mutant has to be caught."""


@pytest.mark.parametrize("name", mutants.NAMES)
def test_a_broken_rule_is_caught(name: str) -> None:
    """An invariant breaks for want of the rule: something wrong happens, not just nothing."""
    with mutants.applied(name):
        for seed in range(MOST):
            try:
                simulate(seed)
            except NotLive:
                continue
            except Defect:
                raise
            except Violation:
                return
    pytest.fail(f"{name} survives {MOST} seeds")
