"""Postgres killed under a running system: clear answers, nothing wrong acknowledged, recovery alone."""

import os
import signal
import tempfile
import time
from pathlib import Path

import httpx
import pytest
from fix_system import System


@pytest.fixture
def system():
    with tempfile.TemporaryDirectory(prefix="gameshard-run-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        system = System(Path(folder))
        yield system
        assert system.stop() == 0


def postgres(http: httpx.Client) -> int:
    processes = http.get("/shards").json()["processes"]
    return next(p["pid"] for p in processes if p["role"] == "postgres")


def test_postgres_away_is_503_and_comes_back_by_itself(system):
    """While Postgres hangs a move is answered 503 with Retry-After; later the same move acts once."""
    with httpx.Client(base_url=system.url, timeout=30) as http:
        users = [http.post("/tokens", json={"name": n}).json()["token"] for n in ("ann", "bob")]
        white, black = [{"Authorization": f"Bearer {token}"} for token in users]
        game = http.post("/games", json={"color": "white"}, headers=white).json()["id"]
        http.post(f"/games/{game}/join", headers=black)
        http.post(f"/games/{game}/moves", json={"uci": "e2e4", "ply": 0}, headers=white)
        pid = postgres(http)
        workers = [
            int(task.name)
            for task in Path("/proc").iterdir()
            if task.name.isdigit() and parent(task) == pid
        ]
        for one in (pid, *workers):
            os.kill(one, signal.SIGSTOP)
        move = {"uci": "e7e5", "ply": 1}
        answer = http.post(f"/games/{game}/moves", json=move, headers=black)
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "unavailable"
        assert int(answer.headers["retry-after"]) >= 1
        for one in (pid, *workers):
            os.kill(one, signal.SIGKILL)
        until = time.monotonic() + 60
        while True:
            answer = http.post(f"/games/{game}/moves", json=move, headers=black)
            if answer.status_code == 200:
                break
            assert answer.status_code == 503
            assert time.monotonic() < until
            time.sleep(int(answer.headers["retry-after"]))
        events = http.get(f"/games/{game}/events", params={"after": 0}).json()["events"]
        assert [e["uci"] for e in events if e["type"] == "MovePlayed"] == ["e2e4", "e7e5"]
        assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
        assert answer.json() in events
        assert postgres(http) != pid


def parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0
