"""A whole system on an address of IPv6."""

import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import pytest
from fix_system import System


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="gameshard-run-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_system_serves_on_ipv6(folder):
    """The URL is printed as it's used: by clients, by the other commands, and by benches."""
    system = System(folder, "--host", "::1")
    try:
        assert system.url.startswith("http://[::1]:")
        assert httpx.get(f"{system.url}/shards").status_code == 200
        for command in (
            ["gateway.cli", "status", "--data", str(folder)],
            ["gateway.cli", "doctor", "--data", str(folder)],
            ["bench", "moves", "--url", system.url, "--games", "4", "--seconds", "1"],
        ):
            done = subprocess.run(
                [sys.executable, "-m", *command], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
    finally:
        assert system.stop() == 0
