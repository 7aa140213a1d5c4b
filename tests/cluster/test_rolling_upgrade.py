"""A game's package is upgraded while the system runs, taken back, and upgraded again."""

import shutil
import signal
import subprocess
import sys
import tempfile
from os import kill
from pathlib import Path

import httpx
import pytest
from cluster_services import eventually, until_true
from fix_system import System

NIM_TWO = Path(__file__).parents[1] / "nim_two.py"
GAMES = 6


class Installed:
    """Where packages are installed that go before those of the environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._info = folder / "nim_game-0.2.0.dist-info"
        shutil.copy(NIM_TWO, folder)

    def upgrade(self) -> None:
        """As `pip install nim-game==0.2.0` would: processes that start from now on have it."""
        self._info.mkdir()
        (self._info / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: nim-game\nVersion: 0.2.0\n"
        )
        (self._info / "entry_points.txt").write_text("[gameshard.behaviours]\nnim = nim_two\n")

    def downgrade(self) -> None:
        shutil.rmtree(self._info)


class Tables:
    """A running system, and some games of Nim in it that are played on at every stage."""

    def __init__(self, system: System, data: Path) -> None:
        self.data = data
        self.http = httpx.Client(base_url=system.url, timeout=60)
        tokens = [self.http.post("/tokens", json={"name": n}).json()["token"] for n in ("a", "b")]
        self.players = [{"Authorization": f"Bearer {token}"} for token in tokens]
        self.takes = 0
        self.games = [self._begin() for _ in range(GAMES)]

    def _begin(self) -> str:
        made = self.http.post("/games", json={"kind": "nim", "pile": 99}, headers=self.players[0])
        game = made.json()["id"]
        assert self.post(game, "join", 1).status_code == 200
        return game

    def post(self, game: str, command: str, player: int, **fields: int) -> httpx.Response:
        headers = self.players[player]
        return self.http.post(f"/games/{game}/{command}", json=fields, headers=headers)

    def take(self) -> None:
        """The next player takes a stone, in every game; all of them are where they should be."""
        for game in self.games:
            taken = self.post(game, "take", self.takes % 2, count=1, turn=self.takes)
            assert taken.status_code == 200, taken.text
            assert self.http.get(f"/games/{game}").json()["pile"] == 98 - self.takes
        self.takes += 1

    def shards(self) -> dict:
        return eventually(lambda: self._get("/shards").json())

    def ready(self) -> bool:
        return self._get("/readyz").status_code == 200

    def _get(self, path: str) -> httpx.Response:
        try:
            return self.http.get(path)
        except httpx.TransportError as error:  # the gateway is away
            raise LookupError from error

    def shard(self, name: str) -> dict:
        for shard in self.shards()["shards"]:
            if shard["name"] == name:
                return shard
        raise LookupError(name)

    def nim(self) -> dict:
        return self.shards()["formats"]["nim"]

    def restart(self, name: str) -> None:
        """Kill a shard's process; it starts anew with what is installed, and gets its share."""
        pid = self.shard(name)["pid"]
        kill(pid, signal.SIGKILL)
        until_true(lambda: self.shard(name)["pid"] != pid and self.shard(name)["partitions"])
        until_true(lambda: self.shards()["unsettled"] == 0)

    def kill(self, role: str) -> None:
        """Kill the one process of a role; it starts anew with what is installed."""
        processes = self.shards()["processes"]
        kill(next(p["pid"] for p in processes if p["role"] == role), signal.SIGKILL)

    def restart_all(self) -> subprocess.CompletedProcess[str]:
        """As an operator does it."""
        command = [sys.executable, "-m", "gateway.cli", "restart", "--data", str(self.data)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=170)


@pytest.fixture
def installed(monkeypatch):
    with tempfile.TemporaryDirectory(prefix="gameshard-packages-") as folder:
        monkeypatch.setenv("PYTHONPATH", folder)
        yield Installed(Path(folder))


@pytest.fixture
def tables(installed):
    """A system that starts with the first version; each process looks at `installed` as it starts."""
    with tempfile.TemporaryDirectory(prefix="gameshard-run-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        system = System(Path(folder), "--shards", "2", "--gateways", "1")
        tables = Tables(system, Path(folder))
        yield tables
        tables.http.close()
        assert system.stop() == 0


def test_a_game_is_upgraded_while_it_is_played(tables, installed):
    """Mixed, the old version is written and can be come back to; once activated, it can't."""
    tables.take()
    installed.upgrade()
    tables.restart("shard-1")
    assert tables.nim() == {"version": 1, "newest": 2, "waits_for": ["gateway-0", "shard-0"]}
    tables.take()
    installed.downgrade()
    tables.restart("shard-1")
    assert tables.nim() == {"version": 1, "newest": 1, "waits_for": []}
    tables.take()
    installed.upgrade()
    done = tables.restart_all()
    assert done.returncode == 0, done.stdout + done.stderr
    until_true(lambda: tables.nim()["version"] == 2)
    tables.take()
    given_up = tables.games.pop()
    until_true(lambda: tables.post(given_up, "resign", 0).status_code == 200)
    assert tables.http.get(f"/games/{given_up}").json()["status"] == "ended"
    installed.downgrade()
    failed = tables.restart_all()
    assert failed.returncode == 1
    assert "shard-0 can't take part: it reads nim up to version 1" in failed.stdout + failed.stderr
    refused = tables.shard("shard-0")
    assert (refused["state"], refused["partitions"]) == ("refused", [])
    tables.take()
    tables.kill("gateway")
    until_true(lambda: set(tables.shards()["refused"]) == {"gateway-0", "shard-0"})
    assert not tables.ready()
    installed.upgrade()
    tables.restart("shard-0")
    tables.kill("gateway")
    until_true(tables.ready)
    assert tables.shards()["refused"] == {}
    tables.take()
