"""Rules broken on purpose: each mutant must be caught."""
from __future__ import annotations
from collections.abc import Iterator
from contextlib import contextmanager
NAMES: list[str] = []

@contextmanager
def applied(name: str) -> Iterator[None]:
    """Break the rule `name`; the empty name breaks none."""
    yield
