"""One real schema registry for the whole run of the tests; subjects are told apart by their names."""

import os
import tempfile
from pathlib import Path

import pytest

from persistence.local.registry import LocalRegistry
from persistence.local.server import NotInstalled


@pytest.fixture(scope="session")
def registry():
    """A real registry; whoever stops it starts it again."""
    with tempfile.TemporaryDirectory(prefix="gameshard-reg-", ignore_cleanup_errors=True) as folder:
        server = LocalRegistry(Path(folder))
        try:
            server.start()
        except NotInstalled as problem:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(str(problem))
        yield server
        server.stop()
